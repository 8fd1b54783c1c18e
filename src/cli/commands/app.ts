import { RollcallError } from '../../errors.js';
import type { Context } from '../context.js';
import { shellWord } from '../output/format.js';

export interface AppFlags {
	node?: string[];
	note?: string;
	detach?: boolean;
}

/**
 * Replaces the workers of one app, new before old: on this node, which needs no fleet, or on nodes that are named, as a rollout
 * over these.
 */
export async function restartApp(context: Context<AppFlags>, app: string): Promise<number> {
	const { options } = context;
	const { operation } = await import('../operation/operation.js');
	const run = (name: string, fields: Record<string, unknown>): Promise<number> => {
		const words = Object.entries(fields).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
		return operation(context, { name, fields: words, commands: [], command: 'app restart' });
	};
	const { node: nodes = [], note } = options;
	if (nodes.length > 0) {
		const some = nodes.includes('all') ? {} : { nodes };
		return run('start_rollout', { app, ...some, ...(note === undefined ? {} : { note }) });
	}
	if (note !== undefined)
		throw new RollcallError('usage', '--note is for a rollout: give --node NODE, or --node all, too.');
	try {
		return await run('restart_service', { service: 'http_workers', app });
	} catch (error) {
		if (!(error instanceof RollcallError) || error.code !== 'forbidden') throw error;
		const advice = `An operator may restart it on nodes that are named: rollcall app restart ${shellWord(app)} --node NODE`;
		throw new RollcallError(error.code, `${error.message}\n${advice}`, error.extra, { cause: error });
	}
}

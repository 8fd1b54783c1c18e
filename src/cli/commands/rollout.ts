import { faults, RollcallError } from '../../errors.js';
import type { RolloutPlan, RolloutState, RolloutView } from '../../rollout/types.js';
import type { Client } from '../client/client.js';
import { parseFields } from '../operation/fields.js';
import { fullId, searchedMax } from '../client/rollout-id.js';
import { adviceFor, followRollout } from '../client/follow.js';
import { withTraffic } from '../client/traffic.js';
import { startRollout } from '../client/start-rollout.js';
import { inFlags, type RequestFlags, requestedFields } from '../client/rollout-request.js';
import type { Context } from '../context.js';
import { historyText, planText, rolloutText } from '../output/render.js';
import { type Connection, connect } from '../client/connect.js';
import { writeMessage, writeResult } from '../output/terminal.js';

/**
 * What a rolling restart would do, over the fleet unless a field of `restart_service` says otherwise. A word without `=` is an
 * app, as for a start.
 */
export async function plan(
	{ options, terminal, session }: Context<RequestFlags>,
	words: readonly string[],
): Promise<number> {
	const apps = words.filter((word) => !word.includes('='));
	const flagged = requestedFields(options, apps);
	const fields = parseFields(words.filter((word) => word.includes('=')));
	const twice = Object.keys(fields).find((key) => key in flagged);
	if (twice !== undefined) throw new RollcallError('usage', `'${twice}' is given twice, as a field and otherwise.`);
	const typed = { ...flagged, ...fields, dry_run: true };
	return using(await connect(options, session.signal), async ({ client }) => {
		const isOther = 'service' in typed || 'replicated' in typed;
		const asked = isOther
			? client.operation('restart_service', { service: 'http_workers', replicated: true, ...typed })
			: startRollout(client, typed).catch((error: unknown) => {
					throw terminal.json ? error : aboutFlags(error);
				});
		const answer = (await asked) as RolloutPlan;
		writeResult(terminal, answer, () => (isOther ? planText(answer) : inFlags(planText(answer))));
		// As the roll itself would end.
		return answer.refused === null ? 0 : faults[answer.refused_as ?? 'unavailable'].exit;
	});
}

function aboutFlags(error: unknown): unknown {
	if (!(error instanceof RollcallError) || error.code !== 'invalid') return error;
	const text = `${inFlags(error.message)}\nWhat it takes: rollcall rollout plan --help`;
	return new RollcallError(error.code, text, error.extra, { cause: error });
}

/** A rolling restart of http_workers over the fleet, or of some apps or nodes of it, followed to its end or its hold. */
export async function start(
	context: Context<RequestFlags & { detach?: boolean }>,
	apps: readonly string[],
): Promise<number> {
	const asked = requestedFields(context.options, apps);
	const fields = Object.entries(asked).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
	const { operation } = await import('../operation/operation.js');
	return operation(context, { name: 'start_rollout', fields, commands: [], command: 'rollout start' });
}

/** Every node back on what it ran before the rollout; followed to its end. */
export async function undo(
	context: Context<{ note?: string; dryRun?: boolean; detach?: boolean }>,
	id: string | undefined,
): Promise<number> {
	const { note, dryRun } = context.options;
	const asked = { id, note, dry_run: dryRun };
	const fields = Object.entries(asked).flatMap(([key, value]) =>
		value === undefined ? [] : [`${key}=${JSON.stringify(value)}`],
	);
	const { operation } = await import('../operation/operation.js');
	return operation(context, { name: 'undo_rollout', fields, commands: [], command: 'rollout undo' });
}

export async function show({ options, terminal, session }: Context, id: string | undefined): Promise<number> {
	return using(await connect(options, session.signal), async ({ client, words }) => {
		const known = (await client.operation('get_rollout', { id: await named(client, id, newest) })) as RolloutView;
		const view = await withTraffic(client, known);
		writeResult(terminal, view, (page) => rolloutText(view, Date.now(), page));
		const advice = adviceFor(view, words);
		if (advice !== null) writeMessage(terminal, advice);
		return 0;
	});
}

export async function history({ options, terminal, session }: Context<{ limit?: string }>): Promise<number> {
	const limit = Number(options.limit);
	if (!Number.isInteger(limit) || limit < 1) {
		throw new RollcallError('usage', `--limit takes a number of rollouts, not '${options.limit}'.`);
	}
	return using(await connect(options, session.signal), async ({ client }) => {
		const views = (await client.operation('list_rollouts', { limit })) as RolloutView[];
		writeResult(terminal, views, (page) => historyText(views, Date.now(), page));
		return 0;
	});
}

export async function follow({ options, terminal, session }: Context, id: string | undefined): Promise<number> {
	return using(await connect(options, session.signal), async (connection) =>
		followRollout(connection, await named(connection.client, id, newest), terminal, session.signal, 'end'),
	);
}

type Verb = 'pause' | 'resume' | 'abort';

/** The states in which a rollout can be told so; without an id the one rollout in such a state is meant. */
const steerable: Readonly<Record<Verb, readonly RolloutState[]>> = {
	pause: ['planned', 'running'],
	resume: ['paused', 'halted'],
	abort: ['planned', 'running', 'paused', 'halted'],
};

export async function steer(
	{ options, terminal, session }: Context<{ skip?: string[]; local?: boolean; detach?: boolean }>,
	verb: Verb,
	id: string | undefined,
): Promise<number> {
	return using(await connect(options, session.signal), async (connection) => {
		const { client, words } = connection;
		const fields: Record<string, unknown> = { id: await named(client, id, () => onlyOne(client, verb)) };
		if (options.skip !== undefined && options.skip.length > 0) fields['skip'] = options.skip;
		if (options.local === true) fields['local'] = true;
		const view = (await client.operation(`${verb}_rollout`, fields)) as RolloutView;
		if (verb === 'resume' && options.detach !== true)
			return followRollout(connection, view.id, terminal, session.signal, 'hold');
		writeResult(terminal, view, (page) => rolloutText(view, Date.now(), page));
		if (verb === 'resume') writeMessage(terminal, `Follow it: rollcall rollout follow ${view.id}${words}`);
		return 0;
	});
}

/** The id that was typed, which may be the beginning of one; without any the one that is meant. */
const named = (client: Client, id: string | undefined, meant: (client: Client) => Promise<string>): Promise<string> =>
	id === undefined ? meant(client) : fullId(client, id);

async function newest(client: Client): Promise<string> {
	const [view] = (await client.operation('list_rollouts', { limit: 1 })) as RolloutView[];
	if (!view) throw new RollcallError('not_found', `${client.where} knows no rollout.`);
	return view.id;
}

async function onlyOne(client: Client, verb: Verb): Promise<string> {
	const views = (await client.operation('list_rollouts', { limit: searchedMax })) as RolloutView[];
	const found = views.filter(({ state }) => steerable[verb].includes(state));
	const [view] = found;
	if (!view) throw new RollcallError('not_found', `There is no rollout to ${verb} (${steerable[verb].join(', ')}).`);
	if (found.length > 1) {
		const ids = found.map((one) => `${one.id} (${one.state})`).join(', ');
		throw new RollcallError('usage', `There are several rollouts to ${verb}; say which: ${ids}`);
	}
	return view.id;
}

async function using(connection: Connection, work: (connection: Connection) => Promise<number>): Promise<number> {
	try {
		return await work(connection);
	} finally {
		connection.client.close();
	}
}

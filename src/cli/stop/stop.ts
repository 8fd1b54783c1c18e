import type { Context } from '../context.js';
import { readPlaces } from '../client/places.js';
import { type Ended, endInstance } from './instance.js';
import { timeoutOf } from '../client/connect.js';
import { writeMessage, writeResult } from '../output/terminal.js';

/** Drains and ends the daemon and the worker hosts of a configuration, wherever they are. */
export async function stop({ options, terminal, session }: Context<{ kill?: boolean }>): Promise<number> {
	const places = await readPlaces(options.config ?? null, process.env);
	const ended = await endInstance(places, {
		timeoutMs: options.timeout === undefined ? null : timeoutOf(options.timeout),
		kill: options.kill === true,
		say: (text) => writeMessage(terminal, text),
		signal: session.signal,
	});
	writeResult(terminal, { stopped: ended }, () =>
		ended.length === 0 ? 'nothing ran' : ended.map((one) => `stopped ${nameOf(one)}`).join('\n'),
	);
	return 0;
}

const nameOf = ({ what, user, pid, killed }: Ended): string =>
	`${what}${user === null ? '' : ` of ${user}`}, process ${pid}${killed ? ' (killed)' : ''}`;

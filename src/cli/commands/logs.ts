import { faults, RollcallError } from '../../errors.js';
import type { WorkerRow } from '../../workers/types.js';
import { readLogs } from '../../system/logs/read-logs.js';
import type { Client } from '../client/client.js';
import { connect } from '../client/connect.js';
import { parseSpan, readPlaces } from '../client/places.js';
import type { Context } from '../context.js';
import { moment } from '../output/format.js';
import { type NodeRow, nodeRows } from '../output/render.js';
import { clean, cleanLines, type Terminal, toJson, writeMessage } from '../output/terminal.js';

export interface LogFlags {
	follow?: boolean;
	lines?: string;
	node?: string;
	worker?: string;
	release?: string;
	since?: string;
}

/** A line of `read_logs`, or why lines of a node are missing, or that it is followed again. */
type Row =
	| { time: number; node: string; app: string; worker: string; stream: 'out' | 'error'; text: string }
	| { node: string; error: string }
	/** A node that was lost is followed again. */
	| { node: string; note: string };

const linesDefault = 20;
const linesMax = 100_000;
/** Of log files that are read without a daemon. */
const charactersMax = 32 * 1024 * 1024;

/**
 * Shows what workers wrote, and with `--follow` what they write: the daemon that is named reads it, of its own node or of
 * others. Without one that answers the files of this host are read, unless another daemon than the default one is named.
 */
export async function logs(context: Context<LogFlags>, app: string | undefined): Promise<number> {
	const { options, terminal } = context;
	const lines = linesOf(options.lines);
	const show = new Lines(terminal, options.node === 'all');
	try {
		await fromDaemon(context, app, lines, show);
	} catch (error) {
		const isAway = error instanceof RollcallError && error.code === 'unreachable' && !show.hasBegun;
		if (!isAway || [options.url, options.socket, options.node, options.release].some((one) => one !== undefined))
			throw error;
		writeMessage(terminal, `${error.message}\nUntil it does, these are the log files of this host.`);
		await fromFiles(context, app, lines, show);
		if (!show.hasBegun) throw new RollcallError('not_found', nothingFound(app));
	}
	if (!show.hasBegun) writeMessage(terminal, nothingFound(app));
	return show.isMissing ? faults.unavailable.exit : 0;
}

function linesOf(text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	const lines = Number(text);
	if (/^\d+$/.test(text) && lines <= linesMax) return lines;
	throw new RollcallError('usage', `--lines takes a number up to ${linesMax}, not '${text}'.`);
}

function nothingFound(app: string | undefined): string {
	const who = app === undefined ? 'No worker' : `No worker of '${app}'`;
	return `${who} has written a line that can be shown.`;
}

async function fromDaemon(
	{ options, session }: Context<LogFlags>,
	app: string | undefined,
	lines: number | undefined,
	show: Lines,
): Promise<void> {
	const { client } = await connect(options, session.signal);
	const { node, worker, release, since, follow } = options;
	const given = Object.entries({ app, worker, release, node, lines, since }).filter(([, value]) => value !== undefined);
	const fields = Object.fromEntries(given);
	try {
		if (follow === true) {
			if (app !== undefined) {
				const fault = await unknownApp(client, app, node);
				if (fault !== null) writeMessage(show.terminal, `${fault} It is waited for.`);
			}
			const rows = client.lines('read_logs', fields, session.signal) as AsyncIterable<Row>;
			for await (const row of rows) await show.row(row);
			throw new RollcallError('unreachable', `${client.where} ended what was followed; follow it again.`);
		}
		for (const row of (await client.operation('read_logs', fields)) as Row[]) await show.row(row);
		const fault = app === undefined || show.hasBegun ? null : await unknownApp(client, app, node);
		if (fault !== null) throw new RollcallError('not_found', fault);
	} finally {
		client.close();
	}
}

/** A sentence about an app of which no worker runs; null if one does. */
async function unknownApp(client: Client, app: string, node: string | undefined): Promise<string | null> {
	const asked = node === undefined ? {} : { node };
	const rows = (await client.operation('list_workers', asked)) as (WorkerRow | NodeRow<WorkerRow>)[];
	const apps = new Set(nodeRows<WorkerRow>(rows).rows.map((row) => row.app));
	if (apps.has(app)) return null;
	const where = node === undefined ? 'here' : node === 'all' ? 'on any node' : `on ${node}`;
	return `No app '${app}' runs ${where}; there ${apps.size === 1 ? 'is' : 'are'}: ${[...apps].join(', ') || 'none'}.`;
}

async function fromFiles(
	{ options, session }: Context<LogFlags>,
	app: string | undefined,
	lines: number | undefined,
	show: Lines,
): Promise<void> {
	const { workerDir } = await readPlaces(options.config ?? null, process.env);
	const { worker, since, follow = false } = options;
	const query = {
		...(app === undefined ? {} : { app }),
		...(worker === undefined ? {} : { worker }),
		lines: lines ?? (since === undefined ? linesDefault : linesMax),
		since: since === undefined ? 0 : timeOf(since),
		charactersMax,
		follow,
	};
	for await (const { rows } of readLogs(workerDir, query, session.signal))
		for (const row of rows) await show.row({ ...row, node: '' });
	if (session.signal.aborted) throw session.signal.reason;
}

function timeOf(since: string): number {
	const agoMs = parseSpan(since);
	const at = agoMs === null ? Date.parse(since) : Date.now() - agoMs;
	if (Number.isFinite(at)) return at;
	throw new RollcallError('usage', `--since takes a duration such as 10m, or a time, not '${since}'.`);
}

/** Writes rows as they come, no faster than they are taken. */
class Lines {
	hasBegun = false;
	/** Of some node lines are missing. */
	isMissing = false;

	constructor(
		readonly terminal: Terminal,
		private readonly named: boolean,
	) {}

	async row(row: Row): Promise<void> {
		const { terminal } = this;
		this.hasBegun = true;
		if ('error' in row) {
			this.isMissing = true;
			if (terminal.json) await this.#write(toJson({ node: row.node, error: row.error }));
			else writeMessage(terminal, `${row.node}: ${row.error}`);
			return;
		}
		if ('note' in row) {
			if (terminal.json) await this.#write(toJson({ node: row.node, note: row.note }));
			else writeMessage(terminal, `${row.node}: ${row.note}`);
			return;
		}
		const { time, node, app, worker, stream, text } = row;
		if (terminal.json) {
			await this.#write(toJson({ time, ...(node === '' ? {} : { node }), app, worker, stream, line: text }));
			return;
		}
		const mark = stream === 'error' ? '!' : '|';
		const who = this.named ? `${clean(node)} ${clean(worker)}` : clean(worker);
		await this.#write(
			`${moment(time)}.${String(Math.trunc(time) % 1000).padStart(3, '0')} ${who} ${mark} ${cleanLines(text)}`,
		);
	}

	async #write(line: string): Promise<void> {
		const { out } = this.terminal;
		if (out.write(`${line}\n`) || out.destroyed) return;
		await new Promise<void>((resolve) => {
			const go = (): void => {
				for (const event of ['drain', 'close', 'error']) out.off(event, go);
				resolve();
			};
			for (const event of ['drain', 'close', 'error']) out.once(event, go);
		});
	}
}

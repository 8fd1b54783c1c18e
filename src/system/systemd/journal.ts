import { fstatSync } from 'node:fs';
import { type Datagram, datagramOn, openDatagram } from './datagram.js';

/** Where lines go; pino's own destination is one. */
export interface LineDestination {
	write(line: string): unknown;
}

/** Where the journal takes entries with fields of their own; its protocol is systemd's "Native Journal Protocol". */
const journalSocketPath = '/run/systemd/journal/socket';

/** pino sets `lastLevel` before each write on a destination that carries this mark. */
const metadata = Symbol.for('pino.metadata');

/** True when standard output is the journal's stream: JOURNAL_STREAM names its device and inode (systemd.exec(5)). */
export function isJournal(env: NodeJS.ProcessEnv, descriptor = 1): boolean {
	const named = env['JOURNAL_STREAM'];
	if (!named) return false;
	try {
		const { dev, ino } = fstatSync(descriptor);
		return named === `${dev}:${ino}`;
	} catch {
		return false;
	}
}

/** Takes one entry of the journal; false when it could not, and the line has to go another way. */
export type EntrySink = (entry: Buffer) => boolean;

/**
 * Sends entries to the journal's own socket: by the descriptor in JOURNAL_FD (opened by systemd/notify-exec), else by
 * koffi. An entry that it does not take at once (it is behind, or the entry is too large) is refused, never waited for.
 */
export function journalSink(
	env: NodeJS.ProcessEnv,
	open: (path: string) => Datagram | null = openDatagram,
	path = journalSocketPath,
): EntrySink {
	const inherited = Number(env['JOURNAL_FD'] ?? Number.NaN);
	let socket = inherited > 2 ? datagramOn(inherited) : open(path);
	return (entry) => {
		const answer = socket?.send(entry);
		if (answer === 'sent') return true;
		if (answer === 'lost' && !(inherited > 2)) {
			// The journal may stand behind another socket by now: the next entry finds it.
			socket?.close();
			socket = open(path);
		}
		return false;
	};
}

/**
 * Each line becomes an entry of the journal: the line itself as MESSAGE, its priority, and its plain values as fields
 * (`event` as ROLLCALL_EVENT), so that `journalctl ROLLCALL_ROLLOUT=…` finds what it should. What the sink does not take
 * goes to `destination`, with the syslog priority before it, as sd-daemon(3) has it.
 */
export function journalDestination(destination: LineDestination, sink: EntrySink = () => false): LineDestination {
	return {
		[metadata]: true,
		lastLevel: 30,
		write(line: string) {
			const priority = priorityOf(this.lastLevel);
			if (sink(entryOf(line.trimEnd(), priority))) return true;
			return destination.write(`<${priority}>${line}`);
		},
	} as LineDestination & { lastLevel: number };
}

/** pino's levels (fatal 60, error 50, warn 40, info 30, below: debug) as syslog priorities. */
export function priorityOf(level: number): number {
	if (level >= 60) return 2;
	if (level >= 50) return 3;
	if (level >= 40) return 4;
	return level >= 30 ? 6 : 7;
}

const identifier = 'rollcall';
const fieldsMax = 32;
/** MESSAGE has the whole text. */
const fieldCharactersMax = 1024;
/** What the journal itself says of every entry, and what MESSAGE alone is for. */
const notFields: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'msg']);

/** A line of JSON as an entry in the journal's native protocol. */
export function entryOf(line: string, priority: number): Buffer {
	const fields: [string, string][] = [
		['MESSAGE', line],
		['PRIORITY', String(priority)],
		['SYSLOG_IDENTIFIER', identifier],
	];
	for (const [key, value] of Object.entries(valuesOf(line)).slice(0, fieldsMax)) {
		const isPlain = ['string', 'number', 'boolean'].includes(typeof value);
		if (!isPlain || notFields.has(key) || !/^[a-zA-Z]\w{0,40}$/.test(key)) continue;
		fields.push([`ROLLCALL_${key.toUpperCase()}`, String(value).slice(0, fieldCharactersMax)]);
	}
	return Buffer.concat(fields.map(([name, value]) => fieldOf(name, value)));
}

function valuesOf(line: string): Record<string, unknown> {
	try {
		return JSON.parse(line) as Record<string, unknown>;
	} catch {
		return {};
	}
}

/** NAME=value, or, where a line break would end it, the name, the value's length in bytes, and the value. */
function fieldOf(name: string, value: string): Buffer {
	if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
	const bytes = Buffer.from(value);
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(bytes.length));
	return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}

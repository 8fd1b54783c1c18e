import { fstatSync } from 'node:fs';

/** Where lines go; pino's own destination is one. */
export interface LineDestination {
	write(line: string): unknown;
}

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

/** Puts the syslog priority before each line, as sd-daemon(3) has it, so that `journalctl -p warning` finds what it should. */
export function journalDestination(destination: LineDestination): LineDestination {
	return {
		[metadata]: true,
		lastLevel: 30,
		write(line: string) {
			return destination.write(`<${priorityOf(this.lastLevel)}>${line}`);
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

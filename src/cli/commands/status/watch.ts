import { setTimeout as delay } from 'node:timers/promises';
import { RollcallError } from '../../../errors.js';
import { clean, fit, type Terminal, toJson, writeMessage } from '../../output/terminal.js';
import { statusText } from './text.js';
import type { Status } from './types.js';

const watchMs = 1_000;

/** What differs at every look, though nothing has happened. */
const measures: readonly string[] = ['memory', 'cpu', 'rtt_ms', 'last_seen', 'clock_offset_ms', 'requests', 'traffic'];

/**
 * Shows the status until Ctrl-C: on a terminal redrawn in place, elsewhere again whenever it is another. The first look has to
 * succeed; a daemon that is away later is waited for, since it may restart.
 */
export async function watchStatus(
	terminal: Terminal,
	look: () => Promise<Status>,
	where: string,
	signal: AbortSignal,
): Promise<never> {
	const screen = new Screen(terminal);
	let shown = await look();
	let isAway = false;
	screen.show(shown);
	for (;;) {
		await delay(watchMs, undefined, { signal });
		try {
			const status = await look();
			if (isAway || screen.isRedrawn || keyOf(status) !== keyOf(shown)) screen.show(status);
			[shown, isAway] = [status, false];
		} catch (error) {
			if (signal.aborted || !(error instanceof RollcallError) || !mayPass(error)) throw error;
			if (!isAway) screen.say(`The daemon at ${where} is away; trying again.`);
			isAway = true;
		}
	}
}

const mayPass = ({ code }: RollcallError): boolean => ['unreachable', 'unavailable', 'timeout'].includes(code);

const keyOf = ({ wrong, ...rest }: Status): string =>
	JSON.stringify([wrong.length, rest], (key, value: unknown) => (measures.includes(key) ? null : value));

class Screen {
	readonly isRedrawn: boolean;
	#isFirst = true;

	constructor(private readonly terminal: Terminal) {
		this.isRedrawn = terminal.outIsTerminal && !terminal.json;
	}

	show(status: Status): void {
		const { terminal } = this;
		if (terminal.json) {
			terminal.out.write(`${toJson(status)}\n`);
			return;
		}
		const text = statusText(status, Date.now(), terminal.page);
		terminal.out.write(this.isRedrawn ? this.#redrawn(text) : `${this.#isFirst ? '' : '\n'}${text}\n`);
		this.#isFirst = false;
	}

	say(text: string): void {
		if (this.isRedrawn) this.terminal.out.write(`${fit(clean(text), this.terminal.page.columns ?? 80)}\n`);
		else writeMessage(this.terminal, text);
	}

	/** What is too long for the screen is cut, so that what is wrong stays at the top. */
	#redrawn(text: string): string {
		const lines = text.split('\n');
		const room = (this.terminal.screen()?.rows ?? lines.length + 1) - 1;
		const rest = lines.length - room;
		const shown = rest > 0 ? [...lines.slice(0, room - 1), `… ${rest + 1} lines more: rollcall status`] : lines;
		return `\x1b[H\x1b[J${shown.join('\n')}\n`;
	}
}

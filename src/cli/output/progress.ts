import type { NodeReleases, RolloutView } from '../../rollout/types.js';
import { releaseChange } from './releases.js';
import {
	elapsedMs,
	isEnded,
	isOver,
	isTarget,
	nodesInOrder,
	phase,
	subject,
	targetsOf,
	tookMs,
	toneOf,
} from './render.js';
import { paint, table } from './table.js';
import { clean, fit, type Page, plainPage, type Terminal, toJson, writeMessage } from './terminal.js';
import { clock, count, forPeople, span } from './format.js';

/** Shows a running rollout on the terminal's `err`. */
export interface Progress {
	/** The rollout stands so now. */
	show(view: RolloutView): void;
	/** Something beside the rollout, for example that the connection was lost. */
	say(text: string): void;
	/** Stops; keeps the screen, or wipes it if a result follows. */
	end(wipe: boolean): void;
}

const redrawMs = 500;

/** Redrawn lines on a terminal, plain lines elsewhere, JSON lines with `--json`. */
export function createProgress(terminal: Terminal): Progress {
	if (!terminal.json && terminal.screen() !== null) return new RedrawnProgress(terminal);
	return new LineProgress(terminal);
}

/** A node's `waiting_for` changes often; it is shown only after so long without other output. */
const quietMs = 15_000;

/** One line for each change: with `--json` every one, else what begins or ends, and what keeps a node for long. */
class LineProgress implements Progress {
	#last: RolloutView | null = null;
	#told: string | null = null;
	#quiet: NodeJS.Timeout | undefined;
	constructor(private readonly terminal: Terminal) {}

	show(view: RolloutView): void {
		const last = this.#last;
		this.#last = view;
		const changes = changesBetween(last, view);
		if (this.terminal.json) {
			for (const change of changes) this.terminal.err.write(`${toJson({ event: 'progress', ...change })}\n`);
			return;
		}
		const isOwn = last?.state !== view.state || last.reason !== view.reason;
		const outside = new Set(view.nodes.filter((node) => !isTarget(view, node)).map(({ node }) => node));
		for (const change of changes) {
			if (change.node !== null && outside.has(change.node)) continue;
			const isNews = change.node !== null || isOwn || (view.waiting_for !== null && !isOfNode(view));
			if (isNews) this.#write(lineOf(isOfNode(view) ? { ...change, waiting_for: null } : change));
		}
		if (this.#quiet === undefined) this.#listen();
	}
	say(text: string): void {
		writeMessage(this.terminal, text);
	}
	end(): void {
		clearTimeout(this.#quiet);
	}

	#write(line: string): void {
		this.terminal.err.write(`${line}\n`);
		this.#listen();
	}
	#listen(): void {
		clearTimeout(this.#quiet);
		this.#quiet = setTimeout(() => this.#tellWaiting(), quietMs);
		this.#quiet.unref();
	}
	#tellWaiting(): void {
		const waiting = this.#last?.waiting_for ?? null;
		if (waiting === null || waiting === this.#told) {
			this.#listen();
			return;
		}
		this.#told = waiting;
		const now = Date.now();
		this.#write(clean(`${clock(now)} waiting for ${forPeople(waiting, now)}`));
	}
}

/** Whether `waiting_for` is about a node at its step, not the rollout. */
const isOfNode = ({ nodes, waiting_for }: RolloutView): boolean =>
	nodes.some(({ node }) => waiting_for?.startsWith(`${node}: `) === true);

/** One fact of a rollout's course. `node` is null when it is about the rollout as a whole. */
export interface Change {
	rollout: string;
	/** ms since 1970: when this command learnt of it; of a step that had ended before, when it ended. */
	at: number;
	state: RolloutView['state'];
	node: string | null;
	node_state: RolloutView['nodes'][number]['state'] | null;
	attempt: number | null;
	/** How long the node took or has been at it, ms. */
	elapsed_ms: number | null;
	waiting_for: string | null;
	reason: string | null;
	release: NodeReleases | null;
}

/** The changes in `view`; without a view before, every node that is not pending. */
export function changesBetween(last: RolloutView | null, view: RolloutView, now = Date.now()): Change[] {
	const common = { rollout: view.id, at: now, state: view.state };
	const changes: Change[] = [];
	for (const node of nodesInOrder(view)) {
		const before = last?.nodes.find((other) => other.node === node.node);
		const same = before?.state === node.state && before.attempt === node.attempt;
		if (same || (before === undefined && node.state === 'pending')) continue;
		const { state: node_state, attempt, reason, release = null } = node;
		const elapsed_ms = elapsedMs(node, now);
		const at = before === undefined ? (node.back_at ?? node.ended_at ?? now) : now;
		changes.push({
			...common,
			at,
			node: node.node,
			node_state,
			attempt,
			elapsed_ms,
			waiting_for: null,
			reason,
			release,
		});
	}
	const { state, waiting_for, reason } = view;
	if (last === null || last.state !== state || last.waiting_for !== waiting_for || last.reason !== reason) {
		const whole = { node: null, node_state: null, attempt: null, elapsed_ms: null, release: null };
		changes.push({ ...common, ...whole, waiting_for, reason });
	}
	return changes;
}

function lineOf(change: Change): string {
	const attempt = (change.attempt ?? 1) > 1 ? `, attempt ${change.attempt}` : '';
	const took =
		change.elapsed_ms !== null && change.node_state !== 'restarting' ? ` after ${span(change.elapsed_ms)}` : '';
	const who = change.node === null ? `rollout ${change.state}` : `${change.node} ${change.node_state}${took}${attempt}`;
	const release = change.node_state === 'restarting' ? null : releaseChange(change.release ?? undefined);
	const changed = release === null ? '' : ` (${release})`;
	const why = change.reason === null ? '' : `: ${change.reason}`;
	const what = change.waiting_for === null || isEnded(change.state) ? '' : `, waiting for ${change.waiting_for}`;
	return clean(`${clock(change.at)} ${who}${changed}${forPeople(`${why}${what}`, change.at)}`);
}

/** One line a node, redrawn in place: phase, time, and what it waits for. */
class RedrawnProgress implements Progress {
	#view: RolloutView | null = null;
	#message = '';
	#drawn = 0;
	readonly #timer: NodeJS.Timeout;

	constructor(private readonly terminal: Terminal) {
		this.#timer = setInterval(() => this.#draw(), redrawMs);
		this.#timer.unref();
	}
	show(view: RolloutView): void {
		this.#view = view;
		this.#message = '';
		this.#draw();
	}
	say(text: string): void {
		this.#message = text;
		this.#draw();
	}
	end(wipe: boolean): void {
		clearInterval(this.#timer);
		if (!wipe) this.#draw();
		else if (this.#drawn > 0) this.terminal.err.write(`\x1b[${this.#drawn}A\x1b[J`);
	}
	/** A line of all columns wraps on some terminals. */
	#page(columns: number): Page {
		return { columns: columns - 1, color: this.terminal.page.color };
	}
	#draw(): void {
		const screen = this.terminal.screen();
		if (screen === null || (this.#view === null && this.#message === '')) return;
		const lines = this.#view ? screenLines(this.#view, screen.rows, Date.now(), this.#page(screen.columns)) : [];
		if (this.#message !== '') lines.push(fit(clean(this.#message), screen.columns));
		const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
		this.terminal.err.write(`${up}\x1b[J${lines.map((line) => `${line}\n`).join('')}`);
		this.#drawn = lines.length;
	}
}

/** The lines of a rollout on a screen of so many rows: when the nodes are more, those that are done or pending are summed up. */
export function screenLines(view: RolloutView, rows: number, now: number, page = plainPage): string[] {
	const fitted = (line: string) => (page.columns === null ? line : fit(line, page.columns + 1));
	const back = view.nodes.filter(({ state }) => state === 'back').length;
	const took = span(tookMs(view, now));
	const rest = fitted(`${view.state}: ${subject(view)}, ${back} of ${count(view.order.length, 'node')} back, ${took}`);
	const head = rest.startsWith(view.state)
		? `${paint(view.state, toneOf(view.state), page)}${rest.slice(view.state.length)}`
		: rest;
	const nodes = targetsOf(view);
	const room = Math.max(3, rows - 4);
	const shown = nodes.length <= room ? nodes : nodes.filter(({ state }) => state !== 'back' && state !== 'pending');
	const waitsFor = (name: string) => view.waiting_for?.startsWith(`${name}: `) === true;
	const note = ({ node, reason }: (typeof nodes)[number]) => {
		if (reason !== null) return forPeople(reason, now);
		return waitsFor(node) ? forPeople((view.waiting_for ?? '').slice(node.length + 2), now) : '';
	};
	const elapsed = (node: (typeof nodes)[number]) => {
		const ms = elapsedMs(node, now);
		return ms === null ? '' : span(ms);
	};
	const text = table(
		shown.slice(0, room),
		[
			{ title: 'NODE', value: ({ node }) => node },
			{ title: 'PHASE', value: phase, tone: ({ state }) => toneOf(state) },
			{ title: 'TIME', value: elapsed, align: 'right' },
			{ title: 'WAITS FOR', value: note, cut: 'end' },
		],
		page,
	);
	const lines = [head, ...text.split('\n')];
	if (shown.length < nodes.length)
		lines.push(fitted(`and ${count(nodes.length - shown.length, 'node')} back or pending`));
	const waitsForNode = nodes.some(({ node }) => waitsFor(node));
	if (view.waiting_for !== null && !waitsForNode && !isOver(view))
		lines.push(fitted(clean(`waiting for ${forPeople(view.waiting_for, now)}`)));
	return lines;
}

/**
 * Links between nodes as TCP gives them: in order while a link lives, held up while a direction is cut, lost with the
 * link. Each side learns on its own that a link is dead, so it may be half open for a while. On top of that a wild
 * network duplicates and overtakes.
 */
import type { Random } from '../random.js';
import type { VirtualTime } from './virtual-time.js';

export interface NetworkSettings {
	latencyMs: number;
	jitterMs: number;
	/** How long a side needs to notice that nothing comes any more. */
	silenceMs: number;
	reconnectMs: number;
	/** Probabilities a message. */
	duplicate: number;
	overtake: number;
	/** A message that takes seconds. */
	slow: number;
	/** A message at which the link breaks. */
	reset: number;
}

export interface Endpoint {
	/** Whether a connection can be made at all: alive, not paused. */
	reachable(): boolean;
	knows(peer: string): boolean;
	linkUp(peer: string, linkId: string): void;
	linkDown(peer: string): void;
	receive(peer: string, message: unknown): void;
}

interface Link {
	id: number;
	/** Sides that believe in it. */
	sides: Set<string>;
	/** When the last message of a direction is delivered, so that order is kept. */
	last: Map<string, number>;
	/** Messages held up by a cut, by direction. */
	held: Map<string, unknown[]>;
}

const pair = (a: string, b: string): string => (a < b ? `${a}|${b}` : `${b}|${a}`);
/** Greetings are bound to their link; overtaking them would be a network that no link can be. */
const isFirstWord = (message: unknown): boolean => (message as { kind: string }).kind === 'greeting';
const direction = (from: string, to: string): string => `${from}>${to}`;

export class FakeNetwork {
	readonly #endpoints = new Map<string, Endpoint>();
	readonly #links = new Map<string, Link>();
	readonly #cuts = new Set<string>();
	readonly #connecting = new Set<string>();
	#ids = 0;

	constructor(
		private readonly time: VirtualTime,
		private readonly random: Random,
		readonly settings: NetworkSettings,
	) {}

	join(name: string, endpoint: Endpoint): void {
		this.#endpoints.set(name, endpoint);
	}

	/** Ids of the links that `name` believes to be up. */
	linksOf(name: string): { node: string; id: string }[] {
		const links: { node: string; id: string }[] = [];
		for (const [key, link] of this.#links) {
			const [a, b] = key.split('|') as [string, string];
			if ((a === name || b === name) && link.sides.has(name))
				links.push({ node: a === name ? b : a, id: `l${link.id}` });
		}
		return links.sort((x, y) => (x.node < y.node ? -1 : 1));
	}

	connectAll(): void {
		const names = [...this.#endpoints.keys()].sort();
		for (const a of names) for (const b of names) if (a < b) this.connect(a, b);
	}

	/** Makes a link unless both sides have one; tried again until it can be made. */
	connect(a: string, b: string): void {
		const key = pair(a, b);
		if (this.#connecting.has(key)) return;
		this.#connecting.add(key);
		const delay = this.settings.reconnectMs * (0.5 + this.random.next());
		this.time.after(delay, () => {
			this.#connecting.delete(key);
			const link = this.#links.get(key);
			if (link?.sides.size === 2) return;
			const [one, other] = [this.#endpoints.get(a), this.#endpoints.get(b)];
			if (!one || !other || !one.knows(b) || !other.knows(a)) return;
			const open = one.reachable() && other.reachable() && !this.isCut(a, b) && !this.isCut(b, a);
			if (open) this.#establish(a, b);
			else this.connect(a, b);
		});
	}

	#establish(a: string, b: string): void {
		const key = pair(a, b);
		const before = this.#links.get(key);
		if (before) for (const side of [...before.sides]) this.#dropSide(key, before, side);
		this.#ids += 1;
		const link: Link = { id: this.#ids, sides: new Set([a, b]), last: new Map(), held: new Map() };
		this.#links.set(key, link);
		this.#endpoints.get(a)?.linkUp(b, `l${link.id}`);
		this.#endpoints.get(b)?.linkUp(a, `l${link.id}`);
	}

	#dropSide(key: string, link: Link, side: string): void {
		if (!link.sides.delete(side)) return;
		const [a, b] = key.split('|') as [string, string];
		this.#endpoints.get(side)?.linkDown(side === a ? b : a);
		if (link.sides.size === 0 && this.#links.get(key) === link) this.#links.delete(key);
	}

	/** Both sides lose the link now, with everything on the way. */
	reset(a: string, b: string): void {
		const key = pair(a, b);
		const link = this.#links.get(key);
		if (!link) return;
		for (const side of [...link.sides]) this.#dropSide(key, link, side);
		this.#links.delete(key);
		this.connect(a, b);
	}

	/** The process of `name` died: its peers are told at once, or find out by silence. */
	died(name: string): void {
		for (const [key, link] of [...this.#links]) {
			const [a, b] = key.split('|') as [string, string];
			if (a !== name && b !== name) continue;
			link.sides.delete(name);
			const peer = a === name ? b : a;
			const delay = this.random.chance(0.8)
				? this.settings.latencyMs
				: this.settings.silenceMs * (1 + this.random.next());
			this.time.after(delay, () => {
				this.#dropSide(key, link, peer);
				this.connect(a, b);
			});
			if (link.sides.size === 0) this.#links.delete(key);
		}
	}

	isCut(from: string, to: string): boolean {
		return this.#cuts.has(direction(from, to));
	}

	cut(from: string, to: string): void {
		this.#cuts.add(direction(from, to));
		const key = pair(from, to);
		const link = this.#links.get(key);
		if (!link) return;
		for (const side of [to, from]) {
			const silent = this.settings.silenceMs * (1 + this.random.next());
			this.time.after(silent, () => {
				if (!this.isCut(from, to) || this.#links.get(key) !== link) return;
				this.#dropSide(key, link, side);
				this.connect(from, to);
			});
		}
	}

	heal(from: string, to: string): void {
		this.#cuts.delete(direction(from, to));
		const link = this.#links.get(pair(from, to));
		const held = link?.held.get(direction(from, to)) ?? [];
		link?.held.delete(direction(from, to));
		if (link) for (const message of held) this.#deliverLater(link, from, to, message);
		this.connect(from, to);
	}

	healAll(): void {
		for (const cut of [...this.#cuts].sort()) {
			const [from, to] = cut.split('>') as [string, string];
			this.heal(from, to);
		}
		this.connectAll();
	}

	send(from: string, to: string, message: unknown): void {
		const link = this.#links.get(pair(from, to));
		if (!link?.sides.has(from)) return;
		if (this.random.chance(this.settings.reset)) {
			this.reset(from, to);
			return;
		}
		this.#deliverLater(link, from, to, message);
		if (!isFirstWord(message) && this.random.chance(this.settings.duplicate))
			this.#deliverLater(link, from, to, message);
	}

	#deliverLater(link: Link, from: string, to: string, message: unknown): void {
		const { latencyMs, jitterMs } = this.settings;
		const way = direction(from, to);
		let at = this.time.now + latencyMs + this.random.next() * jitterMs;
		if (this.random.chance(this.settings.slow)) at += this.random.next() * 8000;
		if (isFirstWord(message) || !this.random.chance(this.settings.overtake)) {
			at = Math.max(at, link.last.get(way) ?? 0);
			link.last.set(way, at);
		}
		this.time.after(at - this.time.now, () => this.#deliver(link, from, to, message));
	}

	#deliver(link: Link, from: string, to: string, message: unknown): void {
		if (this.#links.get(pair(from, to)) !== link || !link.sides.has(to)) return;
		if (this.isCut(from, to)) {
			const held = link.held.get(direction(from, to)) ?? [];
			held.push(message);
			link.held.set(direction(from, to), held);
			return;
		}
		this.#endpoints.get(to)?.receive(from, message);
	}
}

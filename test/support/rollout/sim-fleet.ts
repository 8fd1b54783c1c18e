/** A small fleet in virtual time for scenario tests: the real core on every node, nothing random but latencies. */
import { getRollout, listRollouts } from '../../../src/fleet/core/core.js';
import type { CoreEffect, PeerMessage } from '../../../src/fleet/core/events.js';
import type { CoreRequest, OperatorCommand, Refusal } from '../../../src/rollout/messages.js';
import type { HookName, RolloutView } from '../../../src/rollout/types.js';
import { FakeNetwork } from './fake-network.js';
import { Random } from '../random.js';
import { type FakeConfig, SimNode, type SimNodeSettings } from './sim-node.js';
import { VirtualTime } from './virtual-time.js';

export const fleetLeaseMs = 900;
export const fleetDeadlineMs = 5000;

export interface Answered {
	ok: boolean;
	view: RolloutView | null;
	refusal: Refusal | null;
	/** Virtual ms after the asking. */
	afterMs: number;
}

/** One step that a node began, in the order of time. */
export interface Begun {
	at: number;
	node: string;
	rollout: string;
	attempt: number;
	recovered: boolean;
}

export function fakeConfig(members: readonly string[], configHash = 'c1'): FakeConfig {
	const sorted = [...members].sort();
	return { members: sorted.map((name) => ({ name, zone: null })), memberHash: sorted.join('+'), configHash };
}

interface SimFleetOptions {
	clustered?: boolean;
	maxUnavailable?: number;
	/** Those that every node has. */
	hooks?: readonly HookName[];
	/** Of the protocol that some nodes speak. */
	protocols?: Record<string, number>;
	/** Another engine than the own majority. */
	engine?: SimNodeSettings['engine'];
}

export class SimFleet {
	readonly time = new VirtualTime();
	readonly network: FakeNetwork;
	readonly nodes = new Map<string, SimNode>();
	readonly begun: Begun[] = [];
	readonly notes: { node: string; event: string; fields: Record<string, unknown> }[] = [];
	readonly sent: { from: string; to: string; message: PeerMessage }[] = [];
	/** Told of every effect as it happens; of a store once it is on disk. */
	onEffect: (node: string, effect: CoreEffect) => void = () => {};
	readonly #answers = new Map<string, Omit<Answered, 'afterMs'>>();
	#tokens = 0;

	constructor(names: readonly string[], options: SimFleetOptions = {}) {
		this.network = new FakeNetwork(this.time, new Random(7), {
			latencyMs: 2,
			jitterMs: 1,
			silenceMs: fleetLeaseMs,
			reconnectMs: 20,
			duplicate: 0,
			overtake: 0,
			slow: 0,
			reset: 0,
		});
		for (const name of names) this.add(name, fakeConfig(names), options);
		for (const node of this.nodes.values()) node.start();
	}

	add(name: string, config: FakeConfig, options: SimFleetOptions = {}): SimNode {
		const core = {
			clustered: options.clustered ?? true,
			protocol: { min: 1, max: options.protocols?.[name] ?? 2 },
			leaseMs: fleetLeaseMs,
			deadlineMs: fleetDeadlineMs,
			waitBetweenMs: 0,
			maxUnavailable: options.maxUnavailable ?? 1,
			onFailure: 'halt' as const,
			...(options.hooks ? { hooks: options.hooks } : {}),
		};
		const { engine } = options;
		const settings = { core, syncMs: 2, clockRate: 1, clockStart: 0, ...(engine && { engine }) };
		const node = new SimNode(name, config, settings, this.time, new Random(name.length), this.network, {
			effect: (one, effect) => this.#effect(one, effect),
			delivered: () => {},
			stepped: () => {},
			crashed: () => {},
			threw: (_node, error) => {
				throw error;
			},
		});
		node.peerHello = (peer) => this.nodes.get(peer)?.hello() ?? null;
		node.executor.onExit = () => {
			node.kill();
			this.time.after(300, () => node.start());
		};
		this.nodes.set(name, node);
		return node;
	}

	#effect(node: SimNode, effect: CoreEffect): void {
		this.onEffect(node.name, effect);
		switch (effect.kind) {
			case 'run_step':
				this.begun.push({
					at: this.time.now,
					node: node.name,
					rollout: effect.spec.id,
					attempt: effect.attempt,
					recovered: effect.recovered,
				});
				return;
			case 'answer':
				this.#answers.set(effect.token, { ok: true, view: effect.view, refusal: null });
				return;
			case 'refuse':
				this.#answers.set(effect.token, { ok: false, view: null, refusal: effect.refusal });
				return;
			case 'note':
				this.notes.push({ node: node.name, event: effect.event, fields: effect.fields });
				return;
			case 'send':
				this.sent.push({ from: node.name, to: effect.to, message: effect.message });
				return;
			default:
				return;
		}
	}

	node(name: string): SimNode {
		const node = this.nodes.get(name);
		if (!node) throw new Error(`no node ${name}`);
		return node;
	}

	run(ms: number): void {
		const until = this.time.now + ms;
		while (this.time.advance(until)) {}
	}

	/** Runs until the condition holds; fails after `limit` ms of virtual time. */
	until(what: string, condition: () => boolean, limit = 60_000): void {
		const until = this.time.now + limit;
		while (!condition()) {
			if (this.time.now >= until) throw new Error(`waited ${limit} ms of virtual time for: ${what}`);
			if (!this.time.advance(until)) this.time.now = until;
		}
	}

	/** Kills the daemon, and lets its peers notice. */
	killed(name: string): void {
		this.node(name).kill();
		const others = [...this.nodes.values()].filter((node) => node.name !== name);
		this.until(`${name} is gone`, () => others.every((node) => !node.quorum?.links[name]));
	}

	/** All nodes have met, so that every one of them votes. */
	settled(): this {
		this.until('everyone votes', () => [...this.nodes.values()].every((node) => node.core?.durable.voting === true));
		return this;
	}

	ask(name: string, request: Partial<CoreRequest> = {}): Answered {
		const token = this.begin(name, request);
		return this.answer(token);
	}

	/** Asks without waiting for the answer; the rollout's id is the token. */
	begin(name: string, request: Partial<CoreRequest> = {}): string {
		this.#tokens += 1;
		const token = `r${this.#tokens}`;
		this.node(name).tell({
			kind: 'request',
			token,
			id: token,
			revertAs: `${token}-undo`,
			request: {
				type: 'restart_service',
				service: 'http_workers',
				app: null,
				replicated: true,
				user: 'admin',
				maxUnavailable: null,
				onFailure: null,
				...request,
			},
		});
		return token;
	}

	say(name: string, word: OperatorCommand): Answered {
		this.#tokens += 1;
		const token = `w${this.#tokens}`;
		this.node(name).tell({ kind: 'operator', token, word });
		return this.answer(token);
	}

	answer(token: string): Answered {
		const asked = this.time.now;
		this.until(`an answer to ${token}`, () => this.#answers.has(token), 20_000);
		const answer = this.#answers.get(token);
		if (!answer) throw new Error('no answer');
		return { ...answer, afterMs: this.time.now - asked };
	}

	view(name: string, id: string): RolloutView | undefined {
		const node = this.node(name);
		return node.core ? getRollout(node.core, id, { now: node.now(), wall: 0 }) : undefined;
	}

	/** Sets the wall clock of these nodes, of all if none is named, forward or back; their monotonic clocks run on. */
	setClocks(byMs: number, names: readonly string[] = [...this.nodes.keys()]): void {
		for (const name of names) this.node(name).wallOffset += byMs;
	}

	/** What the node lists, newest first. */
	history(name: string): RolloutView[] {
		const node = this.node(name);
		return node.core ? listRollouts(node.core, 100, { now: node.now(), wall: 0 }) : [];
	}

	untilState(name: string, id: string, state: RolloutView['state']): RolloutView {
		this.until(`${id} is ${state} on ${name}`, () => this.view(name, id)?.state === state);
		const view = this.view(name, id);
		if (!view) throw new Error('no view');
		return view;
	}
}

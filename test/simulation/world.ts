/** One run: a plan's fleet in virtual time, its faults, its operators, and at the end a mended world that has to settle. */
import type { CoreEffect, CoreEvent } from '../../src/fleet/core/events.js';
import type { CoreRequest, OperatorCommand } from '../../src/rollout/messages.js';
import { FakeNetwork } from '../support/rollout/fake-network.js';
import { Random } from '../support/random.js';
import { type FakeConfig, SimNode } from '../support/rollout/sim-node.js';
import { VirtualTime } from '../support/rollout/virtual-time.js';
import { Violation } from './evidence.js';
import { Oracle } from './oracle.js';
import { zoneOf } from './looking-first.js';
import { MajorityWatch } from './majority-watch.js';
import type { Action, Plan } from './plan.js';
import { unsettled } from './settled.js';
import { otherMembers, strike, strikeLinks } from './strike.js';
import { newestUndone } from './undoing.js';

export interface Outcome {
	seed: number;
	violation: { invariant: string; message: string; at: number } | null;
	/** Over every event and effect: the same seed gives the same trace. */
	trace: number;
	events: number;
	grants: number;
	takeovers: number;
	completed: number;
	halted: number;
	aborted: number;
	answered: number;
	refused: number;
	/** 1 if a hook ran, if an undo that an operator asked for began, if one did that the fleet opened. */
	hookDays: number;
	undoDays: number;
	revertDays: number;
}

export interface WorldOptions {
	/** Called with every event and effect, for people. */
	log?: (line: string) => void;
	/** Nothing that one node says or stores is shared with another one, or with its disk. */
	copies?: boolean;
}

/** Longest a mended fleet may take until everything has ended or halted. */
const settleMs = 40_000;
const answerMs = 2000;

export function runPlan(plan: Plan, options: WorldOptions = {}): Outcome {
	return new World(plan, options).run();
}

class World {
	readonly time = new VirtualTime();
	readonly random: Random;
	readonly network: FakeNetwork;
	readonly nodes = new Map<string, SimNode>();
	readonly oracle: Oracle;
	readonly #asked = new Map<string, { node: SimNode; core: SimNode['core']; at: number; limit: number }>();
	#trace = 0x811c9dc5;
	#events = 0;
	#tokens = 0;
	#mending = false;
	#deployed = 'v1';
	#nextWatch = 0;
	readonly #calm: boolean;
	readonly watch: MajorityWatch;

	constructor(
		private readonly plan: Plan,
		private readonly options: WorldOptions,
	) {
		this.random = new Random(plan.seed ^ 0x51ed);
		this.network = new FakeNetwork(this.time, new Random(plan.seed ^ 0x7a3b), { ...plan.network });
		this.oracle = new Oracle(this.nodes, plan.leaseMs);
		this.watch = new MajorityWatch(this.nodes, this.network, this.time, plan.leaseMs);
		const { slow, overtake, jitterMs } = plan.network;
		this.#calm = slow === 0 && overtake === 0 && jitterMs < 100 && plan.newcomers.length === 0;
		for (const name of plan.nodes) this.#make(name, configOf(plan.nodes, 'c1'));
	}

	#make(name: string, config: FakeConfig): SimNode {
		const { plan } = this;
		const node = new SimNode(
			name,
			config,
			{
				core: {
					clustered: true,
					protocol: plan.protocols[name] ?? { min: 1, max: 1 },
					leaseMs: plan.leaseMs,
					deadlineMs: plan.deadlineMs,
					waitBetweenMs: plan.waitBetweenMs,
					maxUnavailable: 1,
					onFailure: 'halt',
					...(plan.hooks ? { hooks: plan.hooks.names } : {}),
				},
				syncMs: plan.syncMs[name] ?? 5,
				clockRate: plan.clockRate[name] ?? 1,
				clockStart: 1000 * (this.nodes.size + 1),
				copies: this.options.copies ?? false,
			},
			this.time,
			new Random(plan.seed ^ hashOf(name)),
			this.network,
			{
				effect: (one, effect) => {
					this.#note('>', one.name, effect);
					this.oracle.effect(one, effect);
				},
				delivered: (one, from, message) => this.oracle.delivered(one, from, message),
				stepped: (one, event) => {
					this.#note('<', one.name, event);
					this.oracle.stepped(one, event);
				},
				crashed: (one) => this.oracle.crashed(one),
				threw: (one, error) => this.oracle.threw(one, error),
			},
		);
		node.peerHello = (peer) => this.nodes.get(peer)?.hello() ?? null;
		if (plan.hooks) node.executor.hooks = { ...plan.hooks, fates: [...plan.hooks.fates] };
		node.executor.onTruth = (truth) => this.oracle.truth(node, truth);
		node.executor.onStarted = (revision) => this.oracle.started(node, revision);
		node.executor.kept.deployed = this.#deployed;
		node.executor.onExit = () => {
			node.kill();
			this.time.after(200 + this.random.next() * 800, () => this.#restarted(node));
		};
		this.nodes.set(name, node);
		return node;
	}

	/** The whole instance came up again: daemon and workers. */
	#restarted(node: SimNode): void {
		if (node.alive || node.neverBack) return;
		node.start();
	}

	#note(prefix: string, name: string, what: CoreEffect | CoreEvent): void {
		this.#events += 1;
		this.#trace = mixed(mixed(this.#trace, name), what.kind);
		this.#trace = Math.imul(this.#trace ^ Math.floor(this.time.now * 1024), prime) >>> 0;
		for (const word of wordsOf(what)) this.#trace = mixed(this.#trace, word);
		this.options.log?.(`${this.time.now.toFixed(1).padStart(9)} ${name} ${prefix} ${JSON.stringify(what)}`);
	}

	run(): Outcome {
		for (const node of this.nodes.values()) {
			this.oracle.mustMeet(node.name, otherMembers(node));
			node.start();
		}
		for (const action of this.plan.actions) this.time.after(action.at, () => this.#act(action));
		const violation = this.#runUntil(this.plan.chaosMs) ?? this.#settle();
		return this.#outcome(violation);
	}

	#runUntil(until: number): Violation | null {
		while (this.time.advance(until)) {
			const violation = this.oracle.violation;
			if (violation) return violation;
			if (this.time.now < this.#nextWatch) continue;
			this.#nextWatch = this.time.now + 400;
			const leaderless = this.#calm && this.watch.leaderless();
			if (leaderless) return new Violation('I11', leaderless);
		}
		return this.oracle.violation;
	}

	/** Everything is mended; whatever is open has to end, or halt with a reason. */
	#settle(): Violation | null {
		this.#mend();
		const until = this.time.now + settleMs;
		while (this.time.now < until) {
			const violation = this.#runUntil(this.time.now + 500) ?? this.#unanswered();
			if (violation) return violation;
			if (unsettled(this.nodes.values()) === null) return null;
		}
		const left = unsettled(this.nodes.values());
		return left === null ? null : new Violation('I11', left);
	}

	#mend(): void {
		this.#mending = true;
		const quiet = { duplicate: 0, overtake: 0, slow: 0, reset: 0 };
		Object.assign(this.network.settings, quiet);
		this.network.healAll();
		// Who was stopped answers from here on.
		for (const asked of this.#asked.values()) if (asked.node.paused) asked.at = this.time.now;
		for (const node of this.nodes.values()) {
			node.unpause();
			node.disk.full = false;
			node.availability = null;
			node.executor.fates = ['good'];
			node.executor.hooks.fates = ['good'];
			node.executor.stepMs = Math.min(node.executor.stepMs, 500);
			if (!node.alive) node.start();
			node.executor.setHealth(true);
		}
	}

	#unanswered(): Violation | null {
		for (const [token, asked] of this.#asked) {
			if (this.oracle.evidence.answers.has(token) || asked.node.core !== asked.core) {
				this.#asked.delete(token);
				continue;
			}
			if (this.time.now > asked.at + asked.limit) return new Violation('I11', `${token} was never answered`);
		}
		return null;
	}

	#act(action: Action): void {
		this.options.log?.(`${this.time.now.toFixed(1).padStart(9)} ** ${JSON.stringify(action)}`);
		if (this.#mending) return;
		switch (action.kind) {
			case 'ask':
				this.#ask(action);
				return;
			case 'deploy':
				this.#deploy(action);
				return;
			case 'undo':
				this.#undo(action.node);
				return;
			case 'pause-rollout':
			case 'abort-rollout':
			case 'end-here':
			case 'resume-rollout':
			case 'admit':
				this.#word(action);
				return;
			case 'file':
				this.#newFile(action);
				return;
			case 'cut':
			case 'isolate':
			case 'deafen':
			case 'reset':
				strikeLinks(this, action);
				return;
			default: {
				const node = this.nodes.get(action.node);
				if (node) strike(this, node, action);
			}
		}
	}

	#ask({ node: name, ask }: Extract<Action, { kind: 'ask' }>): void {
		const node = this.nodes.get(name);
		if (!node?.core || node.paused) return;
		const id = this.#request(node, { ...ask, app: null, user: 'admin' });
		this.oracle.evidence.asked.set(id, ask);
	}

	#request(node: SimNode, request: CoreRequest): string {
		this.#tokens += 1;
		const token = `ask-${this.#tokens}`;
		this.#expect(token, node, answerMs + 3000);
		const id = `r${this.#tokens}`;
		node.tell({ kind: 'request', token, id, revertAs: `${id}-undo`, request });
		return id;
	}

	#deploy({ node, revision }: Extract<Action, { kind: 'deploy' }>): void {
		if (node === undefined) this.#deployed = revision;
		for (const one of this.nodes.values())
			if (node === undefined || node === one.name) one.executor.kept.deploy(revision);
	}

	#undo(name: string): void {
		const node = this.nodes.get(name);
		if (!node?.core || node.paused) return;
		const request = newestUndone(node, node.core);
		if (request) this.#request(node, request);
	}

	#word(
		action: Extract<Action, { kind: 'pause-rollout' | 'abort-rollout' | 'end-here' | 'resume-rollout' | 'admit' }>,
	): void {
		const node = this.nodes.get(action.node);
		if (!node?.core || node.paused) return;
		const rollout = node.core.durable.open.at(-1)?.spec.id ?? 'r1';
		const user = 'admin';
		const words: Record<typeof action.kind, () => OperatorCommand> = {
			'pause-rollout': () => ({ kind: 'pause', rollout, user }),
			'abort-rollout': () => ({ kind: 'abort', rollout, user }),
			'end-here': () => ({ kind: 'end_here', rollout, user }),
			'resume-rollout': () => {
				const skip = action.kind === 'resume-rollout' && action.skip !== null ? [action.skip] : [];
				return { kind: 'resume', rollout, skip, user };
			},
			admit: () => ({ kind: 'admit', node: action.kind === 'admit' ? action.who : '', user }),
		};
		this.#tokens += 1;
		const token = `word-${this.#tokens}`;
		if (action.kind === 'admit') this.oracle.admitted(action.who);
		if (action.kind === 'resume-rollout') this.oracle.evidence.resumed.add(rollout);
		this.#expect(token, node, this.plan.leaseMs + 6000);
		node.tell({ kind: 'operator', token, word: words[action.kind]() });
	}

	#expect(token: string, node: SimNode, limit: number): void {
		this.#asked.set(token, { node, core: node.core, at: this.time.now, limit });
	}

	/** An operator writes a new file on every host; newcomers are started with it. */
	#newFile({ members, fault }: Extract<Action, { kind: 'file' }>): void {
		const config = configOf(members, 'c2');
		// The own node is always a member of its own file, also on a host that the others leave out.
		for (const node of this.nodes.values()) node.file = configOf([...new Set([...members, node.name])], 'c2');
		const faulty = this.nodes.get(this.plan.nodes.at(-1) ?? '');
		if (fault && faulty) faulty.fileFault = 'cluster.peers: not a list';
		for (const name of this.plan.newcomers) {
			const node = this.#make(name, config);
			this.oracle.mustMeet(name, otherMembers(node));
			node.start();
		}
	}

	#outcome(violation: Violation | null): Outcome {
		let [completed, halted, aborted] = [0, 0, 0];
		for (const id of this.oracle.evidence.rollouts.keys()) {
			const states = [...this.nodes.values()].map((node) => {
				const ended = node.disk.durable.ended.find((one) => one.rollout === id);
				if (ended) return ended.view.state;
				return node.disk.durable.open.find((one) => one.spec.id === id)?.flags.halted != null ? 'halted' : null;
			});
			if (states.includes('completed')) completed += 1;
			else if (states.includes('aborted')) aborted += 1;
			else if (states.includes('halted')) halted += 1;
		}
		const { answers: all, rollouts } = this.oracle.evidence;
		const answers = [...all.values()];
		const undos = [...rollouts.values()].filter(({ spec, begun }) => begun && spec.reverts !== undefined);
		return {
			seed: this.plan.seed,
			violation: violation && { invariant: violation.invariant, message: violation.message, at: this.time.now },
			trace: this.#trace,
			events: this.#events,
			grants: this.oracle.grants,
			takeovers: this.oracle.takeovers,
			completed,
			halted,
			aborted,
			answered: answers.filter((one) => one.ok).length,
			refused: answers.filter((one) => !one.ok).length,
			hookDays: Number(this.oracle.evidence.hooks.size > 0),
			undoDays: Number(undos.some(({ spec }) => spec.from !== 'revert')),
			revertDays: Number(undos.some(({ spec }) => spec.from === 'revert')),
		};
	}
}

function configOf(members: readonly string[], configHash: string): FakeConfig {
	const sorted = [...members].sort();
	return {
		members: sorted.map((name) => ({ name, zone: zoneOf(name) })),
		memberHash: sorted.join('+'),
		configHash,
	};
}

function hashOf(name: string): number {
	let hash = 7;
	for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash, 31) + name.charCodeAt(i);
	return hash >>> 0;
}

/** What tells one event or effect of a kind from the others, as far as that is cheap. */
function wordsOf(what: CoreEffect | CoreEvent): string[] {
	switch (what.kind) {
		case 'message':
			return [what.from, what.message.kind];
		case 'send':
			return [what.to, what.message.kind];
		case 'timer':
		case 'set_timer':
		case 'clear_timer':
			return [what.name];
		case 'changed':
			return [what.view.id, what.view.state];
		case 'note':
			return [what.event];
		case 'store':
			return what.entries.map((entry) => entry.kind);
		default:
			return [];
	}
}

const prime = 0x01000193;

function mixed(hash: number, word: string): number {
	let next = hash;
	for (let at = 0; at < word.length; at += 1) next = Math.imul(next ^ word.charCodeAt(at), prime);
	return next >>> 0;
}

/**
 * A node of the simulation: the real core inside a shell of virtual time. It follows the shell's duties to the letter:
 * effects in order, a store before what follows it, a failed store ends the core.
 */
import { createCore, step } from '../../src/rollout/core.js';
import type {
	CoreEffect,
	CoreEvent,
	CoreSettings,
	Hello,
	Member,
	PeerMessage,
	TimerName,
} from '../../src/rollout/protocol.js';
import type { CoreState } from '../../src/rollout/state.js';
import type { Readiness, Snapshot } from '../../src/rollout/types.js';
import { FakeDisk } from './fake-disk.js';
import { FakeExecutor } from './fake-executor.js';
import type { FakeNetwork } from './fake-network.js';
import type { Random } from './random.js';
import type { Due, VirtualTime } from './virtual-time.js';

/** Without its times: the node stamps what happens. */
export type Happening = CoreEvent extends infer E ? (E extends CoreEvent ? Omit<E, 'now' | 'wall'> : never) : never;

/** What watches a node from outside: before and after everything it does. */
export interface Watcher {
	effect(node: SimNode, effect: CoreEffect): void;
	delivered(node: SimNode, from: string, message: PeerMessage): void;
	stepped(node: SimNode, event: CoreEvent): void;
	crashed(node: SimNode): void;
}

export interface SimNodeSettings {
	core: Omit<CoreSettings, 'self' | 'members' | 'memberHash'>;
	syncMs: number;
	/** Rate and start of the own monotonic clock, and how far the wall clock is off. */
	clockRate: number;
	clockStart: number;
}

/** What the node's configuration file says about the fleet. */
export interface FakeConfig {
	members: Member[];
	memberHash: string;
	configHash: string;
}

export class SimNode {
	readonly disk = new FakeDisk();
	readonly executor: FakeExecutor;
	core: CoreState | null = null;
	alive = false;
	paused = false;
	neverBack = false;
	wallOffset = 1_700_000_000_000;
	process = '';
	/** When the event came in that is being worked on, on the own clock: a sync may have passed since. */
	eventNow = 0;
	applied: FakeConfig;
	file: FakeConfig;
	/** Text of a fault in the file; null: it checks. */
	fileFault: string | null = null;
	availability: 'Available' | 'Unavailable' | null = null;
	#inbox: Happening[] = [];
	#syncing: { due: Due; rest: CoreEffect[] } | null = null;
	#links = new Map<string, string>();
	#timers = new Map<TimerName, Due>();
	#starts = 0;
	#working = false;

	constructor(
		readonly name: string,
		config: FakeConfig,
		readonly settings: SimNodeSettings,
		readonly time: VirtualTime,
		readonly random: Random,
		private readonly network: FakeNetwork,
		private readonly watcher: Watcher,
	) {
		this.applied = config;
		this.file = config;
		this.executor = new FakeExecutor(this);
		network.join(name, {
			reachable: () => this.alive && !this.paused,
			knows: (peer) => this.applied.members.some((member) => member.name === peer),
			linkUp: (peer, id) => this.#linkUp(peer, id),
			linkDown: (peer) => {
				this.#links.delete(peer);
				this.tell({ kind: 'link_down', node: peer });
			},
			receive: (peer, message) => this.tell({ kind: 'message', from: peer, message: message as PeerMessage }),
		});
	}

	/** The node's own monotonic clock. */
	now(): number {
		return this.settings.clockStart + this.time.now * this.settings.clockRate;
	}

	/** Starts the daemon, or a new core after a failed disk. */
	start(): void {
		if (this.alive || this.neverBack) return;
		this.#starts += 1;
		this.process = `${this.name}-p${this.#starts}`;
		this.alive = true;
		this.paused = false;
		this.#begin();
	}

	#begin(): void {
		const { members, memberHash } = this.applied;
		this.core = createCore({ ...this.settings.core, self: this.name, members, memberHash });
		this.#inbox = [];
		this.tell({
			kind: 'started',
			durable: this.disk.read(),
			process: this.process,
			readiness: this.readiness(),
		});
		for (const { name } of members) if (name !== this.name) this.network.connect(this.name, name);
	}

	/** SIGKILL of the control plane: workers live on. */
	kill(): void {
		if (!this.alive) return;
		this.#endCore();
		this.alive = false;
		this.paused = false;
		this.executor.daemonDied();
		this.network.died(this.name);
	}

	#endCore(): void {
		if (this.#syncing) {
			this.#syncing.due.run = null;
			this.disk.tear(this.random.next());
			this.#syncing = null;
		}
		for (const due of this.#timers.values()) due.run = null;
		this.#timers.clear();
		this.core = null;
		this.#inbox = [];
		this.#links.clear();
		this.watcher.crashed(this);
	}

	pause(): void {
		if (this.alive) this.paused = true;
	}

	unpause(): void {
		if (!this.paused) return;
		this.paused = false;
		this.#work();
	}

	tell(happening: Happening): void {
		if (!this.alive || !this.core) return;
		this.#inbox.push(happening);
		this.#work();
	}

	/** One event after the other: what an effect brings about at once waits until all effects are carried out. */
	#work(): void {
		if (this.#working) return;
		this.#working = true;
		while (this.alive && !this.paused && !this.#syncing && this.core) {
			const next = this.#inbox.shift();
			if (!next) break;
			this.eventNow = this.now();
			const event = stamped(next, this.eventNow, Math.floor(this.wallOffset + this.time.now));
			if (event.kind === 'message') this.watcher.delivered(this, event.from, event.message);
			const { effects } = step(this.core, event);
			this.watcher.stepped(this, event);
			this.#carryOut(effects);
		}
		this.#working = false;
	}

	#carryOut(effects: readonly CoreEffect[]): void {
		for (let at = 0; at < effects.length; at += 1) {
			const effect = effects[at];
			if (!this.alive || !effect) return;
			if (effect.kind === 'store') {
				if (this.disk.full) {
					this.#diskFailed();
					return;
				}
				this.disk.begin(effect.entries);
				const rest = effects.slice(at + 1);
				const due = this.time.after(this.settings.syncMs * (0.5 + this.random.next()), () => {
					this.#syncing = null;
					this.disk.end();
					this.watcher.effect(this, effect);
					this.#working = true;
					this.#carryOut(rest);
					this.#working = false;
					this.#work();
				});
				this.#syncing = { due, rest };
				return;
			}
			this.watcher.effect(this, effect);
			this.#one(effect);
		}
	}

	/** The core is thrown away, as by a crash, and started anew from what is on disk, until the disk takes writes. */
	#diskFailed(): void {
		this.#endCore();
		this.alive = false;
		this.network.died(this.name);
		this.executor.daemonDied();
		const retry = (): void => {
			if (this.alive || this.neverBack) return;
			if (this.disk.full) this.time.after(1000, retry);
			else this.start();
		};
		this.time.after(1000, retry);
	}

	#one(effect: Exclude<CoreEffect, { kind: 'store' }>): void {
		switch (effect.kind) {
			case 'send':
				this.network.send(this.name, effect.to, effect.message);
				return;
			case 'take_snapshot': {
				const { rollout, attempt } = effect;
				this.later(1, () => this.tell({ kind: 'snapshot', rollout, attempt, snapshot: this.snapshot() }));
				return;
			}
			case 'check':
				this.#check(effect.rollout, effect.service);
				return;
			case 'run_step':
				this.executor.run(effect);
				return;
			case 'set_timer':
				this.#setTimer(effect.name, effect.at);
				return;
			case 'clear_timer':
				this.#clearTimer(effect.name);
				return;
			case 'answer':
			case 'refuse':
			case 'changed':
			case 'note':
			case 'booted':
				return;
		}
	}

	/** Runs after `delay` ms if this process still lives then. */
	later(delay: number, run: () => void): void {
		const process = this.process;
		this.time.after(delay, () => {
			if (this.alive && this.process === process) run();
		});
	}

	#setTimer(name: TimerName, at: number): void {
		this.#clearTimer(name);
		const delay = (at - this.now()) / this.settings.clockRate;
		const due = this.time.after(delay + 0.001, () => {
			this.#timers.delete(name);
			this.tell({ kind: 'timer', name });
		});
		this.#timers.set(name, due);
	}

	#clearTimer(name: TimerName): void {
		const due = this.#timers.get(name);
		if (due) due.run = null;
		this.#timers.delete(name);
	}

	#check(rollout: string, service: string | null): void {
		const changing = service === 'clustering_config';
		const { members, memberHash, configHash } = this.file;
		const result = {
			fault: this.fileFault,
			members: changing && this.fileFault === null ? members : null,
			memberHash: changing && this.fileFault === null ? memberHash : null,
			configHash: changing && this.fileFault === null ? configHash : null,
		};
		this.later(1 + this.random.next() * 20, () => this.tell({ kind: 'checked', rollout, result }));
	}

	#linkUp(peer: string, id: string): void {
		this.#links.set(peer, id);
		const other = this.peerHello(peer);
		if (other) this.tell({ kind: 'link_up', hello: other });
	}

	/** Set by the world: what a peer says first. */
	peerHello: (peer: string) => Hello | null = () => null;

	hello(): Hello {
		return {
			node: this.name,
			boot: this.core?.durable.boot ?? this.disk.durable.boot,
			instance: this.core?.durable.instance ?? this.process,
			process: this.process,
			protocol: this.settings.core.protocol,
			memberHash: this.applied.memberHash,
		};
	}

	snapshot(): Snapshot {
		return {
			boot: this.core?.durable.boot ?? 0,
			workers: this.executor.workers.map(({ id, pid, started }) => ({ id, pid, started })),
			links: [...this.#links].map(([node, id]) => ({ node, id })),
			configHash: this.applied.configHash,
		};
	}

	links(): ReadonlyMap<string, string> {
		return this.#links;
	}

	resetLinks(): void {
		for (const peer of [...this.#links.keys()]) this.network.reset(this.name, peer);
	}

	/** The own file is in force from now on: links to those who left end, those who came are called. */
	applyFile(): void {
		this.applied = this.file;
		const { members, memberHash } = this.applied;
		this.tell({ kind: 'members', members, memberHash });
		for (const peer of [...this.#links.keys()])
			if (!members.some((member) => member.name === peer)) this.network.reset(this.name, peer);
		for (const { name } of members) if (name !== this.name) this.network.connect(this.name, name);
	}

	readiness(): Readiness {
		return {
			apps: [{ app: 'web', wanted: this.executor.wanted, healthy: this.executor.healthy() }],
			availability: this.availability,
			draining: false,
		};
	}

	readinessChanged(): void {
		this.tell({ kind: 'readiness', readiness: this.readiness() });
	}
}

/** In place: nobody else holds what happened, and there are many of them. */
function stamped(happening: Happening, now: number, wall: number): CoreEvent {
	const event = happening as CoreEvent;
	event.now = now;
	event.wall = wall;
	return event;
}

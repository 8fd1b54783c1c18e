/**
 * A node of the simulation: the real core in the real shell, whose clock, disk, links, file and workers are made up. What
 * lies between shell and links in fleet.ts (greeting, redialling, putting a file in force) is played here.
 */
import type { RollcallError } from '../../../src/errors.js';
import type { Clock } from '../../../src/fleet/clock.js';
import type { CheckRequest, Core, Happening } from '../../../src/fleet/ports.js';
import { Shell } from '../../../src/fleet/shell/shell.js';
import { createLogger } from '../../../src/log.js';
import { coordinatorOf, getRollout, listRollouts, step } from '../../../src/fleet/core/core.js';
import { createCore } from '../../../src/fleet/core/state.js';
import { Quorum } from '../../../src/coordination/quorum/engine.js';
import { estimateOf } from '../../../src/rollout/requests/estimate.js';
import type { Hello } from '../../../src/coordination/quorum/messages.js';
import type { CoordinationState } from '../../../src/coordination/quorum/state.js';
import type { CoreEffect, CoreEvent, PeerMessage } from '../../../src/fleet/core/events.js';
import type { CheckResult, CoreSettings, Member, RolloutBodies } from '../../../src/rollout/messages.js';
import type { CoreEngine, CoreState } from '../../../src/fleet/core/state.js';
import type {
	HookResult,
	NodeReleases,
	Readiness,
	Releases,
	Snapshot,
	StepResult,
} from '../../../src/rollout/types.js';
import { FakeDisk } from './fake-disk.js';
import { FakeExecutor, releaseOf } from './fake-executor.js';
import type { FakeNetwork } from './fake-network.js';
import { Later } from '../later.js';
import type { Random } from '../random.js';
import type { VirtualTime } from './virtual-time.js';

const logger = createLogger('silent');

/** What watches a node from outside: before and after everything it does. */
export interface Watcher {
	effect(node: SimNode, effect: CoreEffect): void;
	delivered(node: SimNode, from: string, message: PeerMessage): void;
	stepped(node: SimNode, event: CoreEvent): void;
	/** Its core has ended, by a kill or by its disk. */
	crashed(node: SimNode): void;
	/** The core threw, which it never may. */
	threw(node: SimNode, error: RollcallError): void;
}

export interface SimNodeSettings {
	core: Omit<CoreSettings, 'self' | 'members' | 'memberHash'>;
	syncMs: number;
	/** Rate and start of the own monotonic clock, and how far the wall clock is off. */
	clockRate: number;
	clockStart: number;
	/** Another engine than the own majority. */
	engine?: (founding: CoreSettings) => CoreEngine;
	/** What it says and stores is copied, as on a real wire and disk; slower. */
	copies?: boolean;
}

/** What the node's configuration file says about the fleet. */
export interface FakeConfig {
	members: Member[];
	memberHash: string;
	configHash: string;
}

export class SimNode {
	readonly disk: FakeDisk;
	readonly executor: FakeExecutor;
	core: CoreState | null = null;
	/** What the core's own majority holds in memory. */
	quorum: CoordinationState | null = null;
	alive = false;
	paused = false;
	neverBack = false;
	wallOffset = 1_700_000_000_000;
	process = '';
	/** When the event came in that is being worked on, on the own clock: syncs may have passed since. */
	eventNow = 0;
	applied: FakeConfig;
	file: FakeConfig;
	/** Text of a fault in the file; null: it checks. */
	fileFault: string | null = null;
	availability: 'Available' | 'Unavailable' | null = null;
	#shell: Shell | null = null;
	/** What would have happened to a process that is stopped; it happens when it goes on. */
	#frozen: (() => void)[] = [];
	#links = new Map<string, string>();
	#starts = 0;
	#hasBooted = false;

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
		this.disk = new FakeDisk((done) => this.#after(settings.syncMs * (0.5 + this.random.next()), done));
		this.executor = new FakeExecutor(this);
		network.join(name, {
			reachable: () => this.alive && !this.paused && this.#hasBooted,
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

	/** Starts the daemon. */
	start(): void {
		if (this.alive || this.neverBack) return;
		this.#starts += 1;
		this.process = `${this.name}-p${this.#starts}`;
		this.alive = true;
		this.paused = false;
		this.#hasBooted = false;
		this.executor.daemonStarted();
		this.#shell = this.#newShell();
		// What it rejects with is told by `failed`, too, and at once.
		this.#shell.start(this.disk.read(), false).catch(() => undefined);
	}

	#newShell(): Shell {
		const { process } = this;
		let ids = 0;
		const shell = new Shell({
			createCore: () => this.#newCore(),
			log: this.disk,
			process,
			clock: this.#clock,
			logger,
			send: (to, message) => this.network.send(this.name, to, message),
			readiness: () => this.readiness(),
			snapshot: () => this.snapshot(),
			check: (request) => this.#check(request),
			runStep: (request, onProgress) => {
				const result = new Later<StepResult>();
				this.executor.run(
					request,
					(text) => this.#soon(() => onProgress(text)),
					(facts) => this.#soon(() => result.succeed(facts)),
				);
				return result;
			},
			runHook: () => {
				const result = new Later<HookResult>();
				this.executor.runHook((ended) => this.#soon(() => result.succeed(ended)));
				return result;
			},
			booted: () => this.#booted(),
			newId: () => {
				ids += 1;
				return `${process}-${ids}`;
			},
		});
		shell.on('failed', (error) => {
			this.core = null;
			this.quorum = null;
			this.watcher.crashed(this);
			if (error.code === 'internal') this.watcher.threw(this, error);
			if (!this.#hasBooted) this.#couldNotStart();
		});
		return shell;
	}

	#newCore(): Core {
		const { members, memberHash } = this.applied;
		const settings = { ...this.settings.core, self: this.name, members, memberHash };
		const engine = this.settings.engine?.(settings) ?? new Quorum<RolloutBodies>(settings);
		const state = createCore(settings, engine);
		this.core = state;
		this.quorum = engine instanceof Quorum ? engine.state : null;
		const instant = () => ({ now: this.now(), wall: this.#clock.wall() });
		return {
			step: (event) => this.#step(state, event),
			view: (id) => getRollout(state, id, instant()),
			views: (limit) => listRollouts(state, limit, instant()),
			plan: (request) => estimateOf(state, request, {}),
			coordinator: () => coordinatorOf(state),
		};
	}

	/** The watcher sees an effect when the shell comes to it; a store once it is on disk. */
	*#step(state: CoreState, event: CoreEvent): Iterable<CoreEffect> {
		this.eventNow = event.now;
		if (event.kind === 'message') this.watcher.delivered(this, event.from, event.message);
		const { effects } = step(state, event);
		this.watcher.stepped(this, event);
		for (const effect of effects) {
			if (effect.kind !== 'store') this.watcher.effect(this, effect);
			yield this.#own(effect);
			if (effect.kind === 'store') this.watcher.effect(this, effect);
		}
	}

	#own<T>(value: T): T {
		return this.settings.copies ? structuredClone(value) : value;
	}

	/** A daemon that cannot store its boot ends, and its supervisor starts it again. */
	#couldNotStart(): void {
		this.kill();
		this.time.after(1000, () => this.start());
	}

	/** After a core was started anew within this process, peers must hear of its boot, and it of its peers. */
	#booted(): void {
		if (this.#hasBooted) this.resetLinks();
		else for (const { name } of this.applied.members) if (name !== this.name) this.network.connect(this.name, name);
		this.#hasBooted = true;
	}

	/** SIGKILL of the control plane: workers live on. */
	kill(): void {
		if (!this.alive) return;
		this.alive = false;
		this.paused = false;
		this.#frozen = [];
		this.#shell?.close();
		this.#shell = null;
		this.disk.tear(this.random.next());
		this.core = null;
		this.quorum = null;
		this.#links.clear();
		this.watcher.crashed(this);
		this.executor.daemonDied();
		this.network.died(this.name);
	}

	pause(): void {
		if (this.alive) this.paused = true;
	}

	unpause(): void {
		if (!this.paused) return;
		this.paused = false;
		const frozen = this.#frozen;
		this.#frozen = [];
		for (const happen of frozen) happen();
	}

	tell(happening: Happening): void {
		if (this.alive) this.#soon(() => this.#shell?.tell(happening));
	}

	#soon(happen: () => void): void {
		if (this.paused) this.#frozen.push(happen);
		else happen();
	}

	/** On the node's own clock; a process that is stopped learns of it when it goes on. */
	#after(delay: number, happen: () => void): () => void {
		let wanted = true;
		const due = this.time.after(delay, () => this.#soon(() => wanted && happen()));
		return () => {
			wanted = false;
			due.run = null;
		};
	}

	readonly #clock: Clock = {
		now: () => this.now(),
		wall: () => Math.floor(this.wallOffset + this.time.now),
		after: (delay, call) => this.#after(Math.max(0, delay) / this.settings.clockRate + 0.001, call),
		random: () => this.random.next(),
	};

	/** Runs after `delay` ms if this process still lives then. */
	later(delay: number, run: () => void): void {
		const process = this.process;
		this.time.after(delay, () => {
			if (this.alive && this.process === process) run();
		});
	}

	#check({ service, putBack, dryRun }: CheckRequest): PromiseLike<CheckResult> {
		const changing = service === 'clustering_config';
		const { members, memberHash, configHash } = this.file;
		const result = {
			fault: this.fileFault ?? this.#whyNotPutBack(putBack),
			members: changing && this.fileFault === null ? members : null,
			memberHash: changing && this.fileFault === null ? memberHash : null,
			configHash: changing && this.fileFault === null ? configHash : null,
			...(dryRun ? { releases: this.#releasesFor(putBack) } : {}),
		};
		const checked = new Later<CheckResult>();
		this.#after(1 + this.random.next() * 20, () => checked.succeed(result));
		return checked;
	}

	#whyNotPutBack(putBack: Releases | undefined): string | null {
		for (const [app, { path, revision }] of Object.entries(putBack ?? {})) {
			const fault = this.executor.kept.whyNot(revision ?? '');
			if (fault !== null) return `app ${app} cannot start from ${path}: ${fault}`;
		}
		return null;
	}

	#releasesFor(putBack: Releases | undefined): NodeReleases {
		const { deployed } = this.executor.kept;
		return { before: this.executor.releases(), after: putBack ?? { web: releaseOf(deployed) } };
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
			boot: this.#shell?.boot ?? 0,
			instance: this.#shell?.instance ?? this.process,
			process: this.process,
			protocol: this.settings.core.protocol,
			memberHash: this.applied.memberHash,
		};
	}

	snapshot(): Snapshot {
		return {
			boot: this.#shell?.boot ?? 0,
			workers: this.executor.workers.map(({ id, pid, started }) => ({ id, pid, started })),
			links: [...this.#links].map(([node, id]) => ({ node, id })),
			configHash: this.applied.configHash,
			releases: this.executor.releases(),
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

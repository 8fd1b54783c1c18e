import { EventEmitter } from 'node:events';
import { messageOf, RollcallError } from '../errors.js';
import type { Logger } from '../log.js';
import { emptyDurable, entriesOf, foldEntry } from '../rollout/durable.js';
import type {
	CheckResult,
	CoreEffect,
	CoreEvent,
	CoreRequest,
	DurableEntry,
	DurableState,
	OperatorWord,
	PeerMessage,
	TimerName,
} from '../rollout/protocol.js';
import type {
	NodeName,
	Readiness,
	RolloutId,
	RolloutPlan,
	RolloutView,
	Snapshot,
	StepResult,
} from '../rollout/types.js';
import type { Clock } from './clock.js';
import type { RecordLog } from './records.js';
import { clipped } from './text.js';

/** An event without its times: the shell stamps it when it comes in. */
export type Happening = CoreEvent extends infer E ? (E extends CoreEvent ? Omit<E, 'now' | 'wall'> : never) : never;

/** The decision core, started once from what was on disk. */
export interface Core {
	step(event: CoreEvent): readonly CoreEffect[];
	view(id: RolloutId): RolloutView | undefined;
	/** Newest first. */
	views(limit: number): RolloutView[];
	plan(request: CoreRequest): RolloutPlan;
	coordinator(): NodeName | null;
}

export type StepRequest = Extract<CoreEffect, { kind: 'run_step' }>;
export type CheckRequest = Extract<CoreEffect, { kind: 'check' }>;

/** What the shell reaches the world by. */
export interface ShellPorts {
	createCore(): Core;
	log: RecordLog;
	/** New at every start of the daemon. */
	process: string;
	clock: Clock;
	logger: Logger;
	send(to: NodeName, message: PeerMessage): void;
	readiness(): Readiness;
	snapshot(): Snapshot;
	check(request: CheckRequest): Promise<CheckResult>;
	runStep(step: StepRequest, onProgress: (text: string) => void): Promise<StepResult>;
	/** From now on the hello says these; links that were made before are to be made anew. */
	booted(boot: number, instance: string): void;
	newId(): string;
}

export interface ShellEvents {
	changed: [RolloutView];
	failed: [RollcallError];
}

/** Events that wait while a sync is under way; beyond it the node is not keeping up, and messages are dropped. */
export const eventsWaitingMax = 20_000;
export const operatorsWaitingMax = 256;
/** The core answers long before; this is for a core that was ended by a disk that hangs. */
const answerMsMax = 20_000;
/** A record file that could not be written is tried again after this. */
export const restartAfterMs = 1_000;
/** The log is rewritten to the entries of its fold when it has grown beyond both. */
const rewriteBytesMin = 512 * 1024;
const rewriteFactor = 4;

interface Asking {
	resolve(view: RolloutView | null): void;
	reject(error: RollcallError): void;
	cancel(): void;
}

interface RunningStep {
	result: StepResult | null;
}

interface Waiting {
	event: CoreEvent;
	/** Of a timer: it counts only if it has not been set anew since. */
	timer?: symbol;
}

/**
 * Runs the core: one event at a time, its effects strictly in order, a store on disk before what follows it. A store that
 * fails ends this core as a crash would: a new one starts from what is on disk.
 */
export class Shell extends EventEmitter<ShellEvents> {
	#core: Core | null = null;
	#durable: DurableState = emptyDurable();
	#rewrittenBytes = 0;
	#waiting: Waiting[] = [];
	#working = false;
	#closed = false;
	#cancelRestart: (() => void) | null = null;
	/** What ended the last core, for whoever asks while there is none. */
	#endedBy = '';
	readonly #timers = new Map<TimerName, { id: symbol; cancel(): void }>();
	readonly #asking = new Map<string, Asking>();
	/** By rollout and attempt: what runs in this process, and the latest that ended. A core that was ended does not end a step. */
	readonly #running = new Map<string, RunningStep>();

	constructor(private readonly ports: ShellPorts) {
		super();
	}

	/** Starts the core from the entries read. Resolves once its first effects are carried out; rejects if they cannot be stored. */
	async start(entries: readonly unknown[], forgotten: boolean): Promise<void> {
		this.#durable = fold(entries);
		if (forgotten) this.#durable.instance = null;
		await this.#begin();
		if (!this.#core) throw new RollcallError('unavailable', 'The record file cannot be written; see the log.');
	}

	/** Tells the core. Ignored while there is none. */
	tell(happening: Happening): void {
		if (!this.#core || this.#closed) return;
		if (this.#waiting.length >= eventsWaitingMax) {
			this.ports.logger.error({ event: 'core_overrun', dropped: happening.kind });
			return;
		}
		this.#enqueue({ event: this.#stamped(happening) });
	}

	request(request: CoreRequest): Promise<RolloutView | null> {
		return this.#ask((token) => ({ kind: 'request', token, id: this.ports.newId(), request }));
	}

	/** Resolves when the files of all targets check; rejects with what is wrong. */
	async look(request: CoreRequest): Promise<void> {
		await this.#ask((token) => ({ kind: 'look', token, request }));
	}

	operator(word: OperatorWord): Promise<RolloutView | null> {
		return this.#ask((token) => ({ kind: 'operator', token, word }));
	}

	/** null before the start, and while a failed disk keeps the core from running. */
	get core(): Core | null {
		return this.#core;
	}

	/** While there is no core: why, and what an operator may do. */
	get whyNoCore(): string {
		if (this.#closed) return 'This node stops; send the request to another one.';
		if (this.boot === 0 && this.#endedBy === '') return 'This node starts; try again.';
		return `This node decides nothing until its records can be written, which it tries every second; ask another node meanwhile. ${this.#endedBy}`;
	}

	get boot(): number {
		return this.#durable.boot;
	}

	/** Of the state folder, as it is on disk; it changes when the node learns that it lost its state. */
	get instance(): string {
		return this.#durable.instance ?? this.ports.process;
	}

	/** Lets the effect that is under way end; nothing follows. */
	close(): void {
		this.#closed = true;
		this.#cancelRestart?.();
		this.#drop('the node stops');
	}

	async #begin(): Promise<void> {
		this.#core = this.ports.createCore();
		const durable = structuredClone(this.#durable);
		this.#waiting = [
			{
				event: this.#stamped({
					kind: 'started',
					durable,
					process: this.ports.process,
					readiness: this.ports.readiness(),
				}),
			},
		];
		await this.#work();
	}

	#stamped(happening: Happening): CoreEvent {
		return { ...happening, now: this.ports.clock.now(), wall: this.ports.clock.wall() };
	}

	#enqueue(waiting: Waiting): void {
		this.#waiting.push(waiting);
		if (!this.#working) void this.#work();
	}

	async #work(): Promise<void> {
		this.#working = true;
		try {
			for (let next = this.#waiting.shift(); next && this.#core && !this.#closed; next = this.#waiting.shift())
				await this.#one(this.#core, next);
		} catch (error) {
			this.#fail(error);
		} finally {
			this.#working = false;
		}
	}

	async #one(core: Core, { event, timer }: Waiting): Promise<void> {
		if (event.kind === 'timer') {
			if (this.#timers.get(event.name)?.id !== timer) return;
			this.#timers.delete(event.name);
		}
		for (const effect of core.step(event)) {
			if (effect.kind === 'store') await this.#store(effect.entries);
			else this.#carryOut(effect);
			if (this.#closed) return;
		}
	}

	async #store(entries: readonly DurableEntry[]): Promise<void> {
		const { log } = this.ports;
		const written = log.append(entries);
		const copies = structuredClone(entries); // While the disk works: what follows the store waits for nothing else.
		await written;
		for (const entry of copies) foldEntry(this.#durable, entry);
		const { bytes } = log.size();
		if (bytes < rewriteBytesMin || bytes < rewriteFactor * this.#rewrittenBytes) return;
		try {
			await log.rewrite(entriesOf(this.#durable));
		} catch (error) {
			// The long file serves as well; it is tried again when it has grown further.
			this.ports.logger.warn({ event: 'records_not_rewritten', reason: messageOf(error) });
		}
		this.#rewrittenBytes = log.size().bytes;
	}

	#carryOut(effect: Exclude<CoreEffect, { kind: 'store' }>): void {
		switch (effect.kind) {
			case 'send':
				this.ports.send(effect.to, effect.message);
				break;
			case 'take_snapshot': {
				const { rollout, attempt } = effect;
				this.tell({ kind: 'snapshot', rollout, attempt, snapshot: this.ports.snapshot() });
				break;
			}
			case 'check':
				void this.#check(effect);
				break;
			case 'run_step':
				void this.#run(effect);
				break;
			case 'set_timer':
				this.#setTimer(effect.name, effect.at);
				break;
			case 'clear_timer':
				this.#clearTimer(effect.name);
				break;
			case 'answer':
				this.#answered(effect.token)?.resolve(effect.view);
				break;
			case 'refuse': {
				const { code, message, extra } = effect.refusal;
				this.#answered(effect.token)?.reject(new RollcallError(code, message, extra));
				break;
			}
			case 'changed':
				this.#tellFollowers(effect.view);
				break;
			case 'note': {
				// `node` stands in every line already: this very one.
				const { node: target, ...fields } = effect.fields;
				this.ports.logger.info({ ...fields, ...(target === undefined ? {} : { target }), event: effect.event });
				break;
			}
			case 'booted':
				this.ports.booted(effect.boot, effect.instance);
				break;
			default:
				effect satisfies never;
		}
	}

	/** Whoever follows may fail; that is no fault of the core. */
	#tellFollowers(view: RolloutView): void {
		try {
			this.emit('changed', view);
		} catch (error) {
			this.ports.logger.error({ event: 'follower_failed', rollout: view.id, reason: messageOf(error) });
		}
	}

	async #check(request: CheckRequest): Promise<void> {
		let result: CheckResult;
		try {
			result = await this.ports.check(request);
		} catch (error) {
			result = { fault: clipped(messageOf(error)), members: null, memberHash: null, configHash: null };
		}
		this.tell({ kind: 'checked', rollout: request.rollout, result });
	}

	async #run(step: StepRequest): Promise<void> {
		const { attempt, before } = step;
		const rollout = step.spec.id;
		const key = `${rollout} ${attempt}`;
		const known = this.#running.get(key);
		if (known) {
			// Begun for a core that was ended since: what it came to finds the new one, now or when it is done.
			if (known.result) this.tell({ kind: 'step_ended', rollout, attempt, result: known.result });
			return;
		}
		for (const [other, { result }] of this.#running) if (result) this.#running.delete(other);
		const running: RunningStep = { result: null };
		this.#running.set(key, running);
		try {
			running.result = await this.ports.runStep(step, (text) =>
				this.tell({ kind: 'progress', rollout, attempt, text: clipped(text) }),
			);
		} catch (error) {
			const reason = clipped(messageOf(error));
			this.ports.logger.error({ event: 'step_threw', rollout, attempt, reason });
			const after = { ...this.ports.snapshot(), workers: [] };
			running.result = { outcome: 'failed', before, after, wanted: 0, oldGone: false, cutOff: 0, reason };
		}
		this.tell({ kind: 'step_ended', rollout, attempt, result: running.result });
	}

	#setTimer(name: TimerName, at: number): void {
		this.#clearTimer(name);
		const id = Symbol(name);
		const fire = (): void => {
			// A timer of the platform may come a little early.
			if (this.ports.clock.now() < at) this.#setTimer(name, at);
			else this.#enqueue({ event: this.#stamped({ kind: 'timer', name }), timer: id });
		};
		this.#timers.set(name, { id, cancel: this.ports.clock.after(at - this.ports.clock.now(), fire) });
	}

	#clearTimer(name: TimerName): void {
		this.#timers.get(name)?.cancel();
		this.#timers.delete(name);
	}

	#ask(make: (token: string) => Happening): Promise<RolloutView | null> {
		if (!this.#core || this.#closed) return Promise.reject(new RollcallError('unavailable', this.whyNoCore));
		if (this.#asking.size >= operatorsWaitingMax)
			return Promise.reject(new RollcallError('unavailable', 'Too many requests wait for an answer; try again.'));
		const token = this.ports.newId();
		return new Promise((resolve, reject) => {
			const cancel = this.ports.clock.after(answerMsMax, () =>
				this.#answered(token)?.reject(new RollcallError('unavailable', 'No decision came in time; look at the state.')),
			);
			this.#asking.set(token, { resolve, reject, cancel });
			this.tell(make(token));
		});
	}

	#answered(token: string): Asking | undefined {
		const asking = this.#asking.get(token);
		this.#asking.delete(token);
		asking?.cancel();
		return asking;
	}

	/** Nothing of this core follows: what it meant to do and could not store never happened. */
	#fail(thrown: unknown): void {
		const error =
			thrown instanceof RollcallError
				? thrown
				: new RollcallError('internal', `The rollout core failed: ${messageOf(thrown)}`, {}, { cause: thrown });
		this.ports.logger.error({ event: 'core_ended', reason: error.message, stack: (thrown as Error)?.stack });
		this.#endedBy = error.message;
		this.#drop(error.message);
		this.emit('failed', error);
		if (this.#closed) return;
		this.#cancelRestart = this.ports.clock.after(restartAfterMs, () => void this.#restart());
	}

	async #restart(): Promise<void> {
		this.#cancelRestart = null;
		if (this.#closed) return;
		try {
			this.#durable = fold(await this.ports.log.reread());
		} catch (error) {
			this.#fail(error);
			return;
		}
		await this.#begin();
	}

	#drop(why: string): void {
		this.#core = null;
		this.#waiting = [];
		for (const name of [...this.#timers.keys()]) this.#clearTimer(name);
		for (const token of [...this.#asking.keys()]) this.#answered(token)?.reject(new RollcallError('unavailable', why));
	}
}

/** The file's checksums held, so what it says was written by this program: entries are taken as they stand. */
function fold(entries: readonly unknown[]): DurableState {
	const state = emptyDurable();
	for (const entry of entries) foldEntry(state, entry as DurableEntry);
	return state;
}

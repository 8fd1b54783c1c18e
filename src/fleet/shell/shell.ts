import { EventEmitter } from 'node:events';
import { messageOf, RollcallError } from '../../errors.js';
import { emptyDurable, entriesOf, foldEntry, isKnownEntry } from '../core/durable.js';
import type { CoreEffect, CoreEvent, DurableEntry, DurableState } from '../core/events.js';
import type { CheckResult, CoreRequest, OperatorCommand } from '../../rollout/messages.js';
import type { HookResult, RolloutView, StepResult } from '../../rollout/types.js';
import { type Answered, PendingRequests } from './pending-requests.js';
import type { CheckRequest, Core, Happening, HookEffect, ShellPorts, StepRequest } from '../ports.js';
import { clipped } from '../text.js';
import { CoreTimers } from './timers.js';

export interface ShellEvents {
	changed: [RolloutView];
	failed: [RollcallError];
}

/** Events that wait while a sync is under way; beyond it the node is not keeping up, and messages are dropped. */
export const eventsWaitingMax = 20_000;
/** A record file that could not be written is tried again after this. */
export const restartAfterMs = 1_000;
/** The log is rewritten to the entries of its fold when it has grown beyond both. */
const rewriteBytesMin = 512 * 1024;
const rewriteFactor = 4;

interface RunningStep {
	result: StepResult | null;
}

interface Waiting {
	event: CoreEvent;
	/** Of a timer: it counts only if it has not been set anew since. */
	timer?: number;
}

/**
 * Runs the core: one event at a time, its effects strictly in order, a store on disk before what follows it. A store that
 * fails ends this core as a crash would: a new one starts from what is on disk.
 */
export class Shell extends EventEmitter<ShellEvents> {
	#core: Core | null = null;
	#durable: DurableState = emptyDurable();
	/** Entries that a later build wrote, kept for its return. */
	#foreign: readonly unknown[] = [];
	#rewrittenBytes = 0;
	#waiting: Waiting[] = [];
	/** An event is being worked on, or its store is on its way to the disk. */
	#working = false;
	/** Called once no event waits any more, or the core has ended. */
	#onRest: (() => void) | null = null;
	#closed = false;
	#cancelRestart: (() => void) | null = null;
	/** Why the last core ended; the answer to requests while there is none. */
	#endedBy = '';
	readonly #timers: CoreTimers;
	readonly #asking: PendingRequests;
	/** By rollout and attempt: what runs in this process, and the latest that ended. A core that was ended does not end a step. */
	readonly #running = new Map<string, RunningStep>();

	constructor(private readonly ports: ShellPorts) {
		super();
		this.#asking = new PendingRequests(ports.clock);
		this.#timers = new CoreTimers(ports.clock, (name, timer) => {
			this.#enqueue({ event: this.#stamped({ kind: 'timer', name }), timer });
		});
	}

	/** Starts the core from the entries read. Resolves once its first effects are carried out; rejects if they cannot be stored. */
	start(entries: readonly unknown[], forgotten: boolean): Promise<void> {
		this.#takeUp(entries);
		if (forgotten) this.#durable.instance = null;
		return new Promise((resolve, reject) => {
			this.#onRest = () => {
				if (this.#core) resolve();
				else reject(new RollcallError('unavailable', 'The record file cannot be written; see the log.'));
			};
			this.#begin();
		});
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

	async request(request: CoreRequest): Promise<RolloutView | null> {
		const { newId } = this.ports;
		return (await this.#ask((token) => ({ kind: 'request', token, id: newId(), revertAs: newId(), request }))).view;
	}

	/** Checks the files of all targets; resolves to their changes, rejects with the fault. */
	async look(request: CoreRequest): Promise<Answered['apps']> {
		return (await this.#ask((token) => ({ kind: 'look', token, request }))).apps;
	}

	async operator(word: OperatorCommand): Promise<RolloutView | null> {
		return (await this.#ask((token) => ({ kind: 'operator', token, word }))).view;
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

	/** What ended the last core; empty if none was ended. */
	get endedBy(): string {
		return this.#endedBy;
	}

	get boot(): number {
		return this.#durable.boot;
	}

	/** Identity of the state folder on disk; it changes when the node learns that it lost its state. */
	get instance(): string {
		return this.#durable.instance ?? this.ports.process;
	}

	/** Lets the effect that is under way end; nothing follows. */
	close(): void {
		this.#closed = true;
		this.#cancelRestart?.();
		this.#drop('the node stops');
	}

	#takeUp(entries: readonly unknown[]): void {
		this.#durable = fold(entries.filter(isKnownEntry));
		this.#foreign = entries.filter((entry) => !isKnownEntry(entry));
	}

	#begin(): void {
		this.#core = this.ports.createCore();
		// A fold of its own: the core changes it in place, while entries are replaced and never changed.
		const durable = fold(entriesOf(this.#durable));
		const { process } = this.ports;
		this.#waiting = [
			{ event: this.#stamped({ kind: 'started', durable, process, readiness: this.ports.readiness() }) },
		];
		this.#work();
	}

	#stamped(happening: Happening): CoreEvent {
		// What happens is told by an object of its own, so it need not be copied.
		return Object.assign(happening, { now: this.ports.clock.now(), wall: this.ports.clock.wall() });
	}

	#enqueue(waiting: Waiting): void {
		this.#waiting.push(waiting);
		this.#work();
	}

	/** One event after the other; a store interrupts it, and takes it up again. */
	#work(): void {
		if (this.#working) return;
		this.#working = true;
		try {
			for (let next = this.#waiting.shift(); next && this.#core && !this.#closed; next = this.#waiting.shift())
				if (!this.#one(this.#core, next)) return;
		} catch (error) {
			this.#fail(error);
		}
		this.#rest();
	}

	#rest(): void {
		this.#working = false;
		const onRest = this.#onRest;
		this.#onRest = null;
		onRest?.();
	}

	/** False: a store is on its way to the disk, and what follows it waits. */
	#one(core: Core, { event, timer }: Waiting): boolean {
		if (event.kind === 'timer' && !this.#timers.take(event.name, timer)) return true;
		return this.#carryOutAll(core.step(event)[Symbol.iterator]());
	}

	#carryOutAll(effects: Iterator<CoreEffect>): boolean {
		for (let next = effects.next(); !next.done && !this.#closed; next = effects.next()) {
			const effect = next.value;
			if (effect.kind === 'store') {
				this.#store(effect.entries, () => this.#goOn(effects));
				return false;
			}
			this.#carryOut(effect);
		}
		return true;
	}

	/** The entries are on disk: what follows the store is done now, then what waited behind its event. */
	#goOn(effects: Iterator<CoreEffect>): void {
		try {
			if (!this.#carryOutAll(effects)) return;
		} catch (error) {
			this.#ended(error);
			return;
		}
		this.#working = false;
		this.#work();
	}

	#store(entries: readonly DurableEntry[], then: () => void): void {
		const { log } = this.ports;
		const stored = (): void => {
			try {
				for (const entry of entries) foldEntry(this.#durable, entry);
				const { bytes } = log.size();
				if (bytes < rewriteBytesMin || bytes < rewriteFactor * this.#rewrittenBytes) then();
				else this.#rewrite(then);
			} catch (error) {
				this.#ended(error);
			}
		};
		log.append(entries).then(stored, (error) => this.#ended(error));
	}

	#rewrite(then: () => void): void {
		const { log } = this.ports;
		const done = (): void => {
			this.#rewrittenBytes = log.size().bytes;
			then();
		};
		log.rewrite([...entriesOf(this.#durable), ...this.#foreign]).then(done, (error) => {
			// The long file serves as well; it is tried again when it has grown further.
			this.ports.logger.warn({ event: 'records_not_rewritten', reason: messageOf(error) });
			done();
		});
	}

	#ended(error: unknown): void {
		this.#fail(error);
		this.#rest();
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
				this.#check(effect);
				break;
			case 'run_step':
				this.#run(effect);
				break;
			case 'run_hook':
				this.#hook(effect);
				break;
			case 'set_timer':
				this.#timers.set(effect.name, effect.at);
				break;
			case 'clear_timer':
				this.#timers.clear(effect.name);
				break;
			case 'answer':
				this.#asking.answer(effect.token, { view: effect.view, apps: effect.apps ?? {} });
				break;
			case 'refuse':
				this.#asking.refuse(effect.token, effect.refusal);
				break;
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

	/** A failing listener must not fail the core. */
	#tellFollowers(view: RolloutView): void {
		try {
			this.emit('changed', view);
		} catch (error) {
			this.ports.logger.error({ event: 'follower_failed', rollout: view.id, reason: messageOf(error) });
		}
	}

	#check(request: CheckRequest): void {
		const tell = (result: CheckResult): void => this.tell({ kind: 'checked', rollout: request.rollout, result });
		this.ports
			.check(request)
			.then(tell, (error) =>
				tell({ fault: clipped(messageOf(error)), members: null, memberHash: null, configHash: null }),
			);
	}

	#run(step: StepRequest): void {
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
		const ended = (result: StepResult): void => {
			running.result = result;
			this.tell({ kind: 'step_ended', rollout, attempt, result });
		};
		const onProgress = (text: string): void => this.tell({ kind: 'progress', rollout, attempt, text: clipped(text) });
		this.ports.runStep(step, onProgress).then(ended, (error) => {
			const reason = clipped(messageOf(error));
			this.ports.logger.error({ event: 'step_threw', rollout, attempt, reason });
			const after = { ...this.ports.snapshot(), workers: [] };
			ended({ outcome: 'failed', before, after, wanted: 0, oldGone: false, cutOff: 0, reason });
		});
	}

	/** Once begun it runs to its end, or its timeout; a core that was started meanwhile no longer asks for it. */
	#hook({ kind: _, attempt, ...request }: HookEffect): void {
		const { rollout, hook } = request;
		const ended = (result: HookResult): void => this.tell({ kind: 'hook_ended', rollout, hook, attempt, result });
		this.ports.runHook(request).then(
			({ state, detail }) => ended({ state, detail: detail === null ? null : clipped(detail) }),
			(error) => ended({ state: 'unknown', detail: clipped(messageOf(error)) }),
		);
	}

	#ask(make: (token: string) => Happening): Promise<Answered> {
		if (!this.#core || this.#closed) return Promise.reject(new RollcallError('unavailable', this.whyNoCore));
		const token = this.ports.newId();
		return this.#asking.ask(token, () => this.tell(make(token)));
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
		this.#cancelRestart = this.ports.clock.after(restartAfterMs, () => this.#restart());
	}

	#restart(): void {
		this.#cancelRestart = null;
		if (this.#closed) return;
		this.ports.log.reread().then(
			(entries) => {
				if (this.#closed) return;
				this.#takeUp(entries);
				this.#begin();
			},
			(error) => this.#fail(error),
		);
	}

	#drop(why: string): void {
		this.#core = null;
		this.#waiting = [];
		this.#timers.clearAll();
		this.#asking.refuseAll(why);
	}
}

/** The file's checksums held, so what it says was written by this program: entries are taken as they stand. */
function fold(entries: readonly DurableEntry[]): DurableState {
	const state = emptyDurable();
	for (const entry of entries) foldEntry(state, entry);
	return state;
}

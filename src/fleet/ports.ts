/** What the shell reaches the world by, and the core that it runs. */
import type { Logger } from '../log.js';
import type { CoreEffect, CoreEvent, DurableEntry, PeerMessage } from './core/events.js';
import type { CheckResult, CoreRequest, HookRequest, NodeApps } from '../rollout/messages.js';
import type {
	HookResult,
	NodeName,
	Readiness,
	RolloutId,
	RolloutPlan,
	RolloutView,
	Snapshot,
	StepResult,
} from '../rollout/types.js';
import type { Clock } from './clock.js';

/** An event without its times: the shell stamps it when it comes in. */
export type Happening = CoreEvent extends infer E ? (E extends CoreEvent ? Omit<E, 'now' | 'wall'> : never) : never;

/** The decision core, started once from what was on disk. */
export interface Core {
	step(event: CoreEvent): Iterable<CoreEffect>;
	view(id: RolloutId): RolloutView | undefined;
	/** Newest first. */
	views(limit: number): RolloutView[];
	/** By what the nodes say of their files: those that lack the app, or run already what an undo would put back, are passed over. */
	plan(request: CoreRequest, apps: Readonly<Record<NodeName, NodeApps>>): RolloutPlan;
	coordinator(): NodeName | null;
}

export type StepRequest = Extract<CoreEffect, { kind: 'run_step' }>;
export type HookEffect = Extract<CoreEffect, { kind: 'run_hook' }>;
export type CheckRequest = Extract<CoreEffect, { kind: 'check' }>;

/** The record file, as records.ts has it. */
export interface ShellLog {
	append(entries: readonly DurableEntry[]): PromiseLike<void>;
	rewrite(entries: readonly unknown[]): PromiseLike<void>;
	reread(): PromiseLike<readonly unknown[]>;
	size(): { bytes: number };
}

/**
 * The shell never awaits: it goes on within the call back of what it waited for, and does
 * nothing in between, so whoever owns clock and ports owns every moment. The simulator runs it so, in virtual time.
 */
export interface ShellPorts {
	createCore(): Core;
	log: ShellLog;
	/** New at every start of the daemon. */
	process: string;
	clock: Clock;
	logger: Logger;
	send(to: NodeName, message: PeerMessage): void;
	readiness(): Readiness;
	snapshot(): Snapshot;
	check(request: CheckRequest): PromiseLike<CheckResult>;
	/** Runs the command of a hook; does not reject where it can tell what came of it. */
	runHook(request: HookRequest): PromiseLike<HookResult>;
	runStep(step: StepRequest, onProgress: (text: string) => void): PromiseLike<StepResult>;
	/** From now on the hello says these; links that were made before are to be made anew. */
	booted(boot: number, instance: string): void;
	newId(): string;
}

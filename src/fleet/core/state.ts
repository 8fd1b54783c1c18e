/** What a core holds in memory: an engine of coordination, and what is decided on it. All but the engine is plain data. */
import type { quorum } from '../../coordination/quorum/engine.js';
import { type CoordinationState, createCoordination } from '../../coordination/quorum/state.js';
import type { CoreSettings, RolloutBodies } from '../../rollout/messages.js';
import { type CoreState as Decisions, emptyMemory } from '../../rollout/state.js';
import { emptyDurable } from './durable.js';
import type { DurableState, TimerName } from './events.js';

export type Engine = typeof quorum;

export interface CoreState extends CoordinationState<RolloutBodies>, Decisions {
	readonly engine: Engine;
	durable: DurableState;
	settings: CoreSettings;
	started: boolean;
	timers: Partial<Record<TimerName, number>>;
}

export function createCore(settings: CoreSettings, engine: Engine): CoreState {
	const state = {
		...createCoordination<RolloutBodies>(),
		...emptyMemory(),
		settings,
		members: settings.members,
		memberHash: settings.memberHash,
		durable: emptyDurable(),
		started: false,
		readiness: { apps: [], availability: null, draining: false },
		timers: {},
	};
	return Object.assign(state, { engine, coordination: engine.ask(state) });
}

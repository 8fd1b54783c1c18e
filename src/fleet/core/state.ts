/** What a core holds in memory: an engine of coordination, and what is decided on it. All but the engine is plain data. */
import type { Engine } from '../../coordination/engine.js';
import type { CoreSettings, RolloutBodies } from '../../rollout/messages.js';
import { type CoreState as Decisions, emptyMemory } from '../../rollout/state.js';
import { emptyDurable } from './durable.js';
import type { DurableState, EngineTypes, TimerName } from './events.js';

export type CoreEngine = Engine<EngineTypes, RolloutBodies>;

export interface CoreState extends Decisions {
	readonly engine: CoreEngine;
	durable: DurableState;
	started: boolean;
	/** When each is due; null: it is not set. */
	timers: Record<TimerName, number | null>;
}

export function createCore(settings: CoreSettings, engine: CoreEngine): CoreState {
	return {
		...emptyMemory(),
		engine,
		coordination: engine.coordination,
		settings,
		members: settings.members,
		memberHash: settings.memberHash,
		durable: emptyDurable(),
		started: false,
		readiness: { apps: [], availability: null, draining: false },
		timers: {
			heartbeat: null,
			lease: null,
			prepare: null,
			start: null,
			drive: null,
			operator: null,
			local: null,
			show: null,
			doubt: null,
			look: null,
		},
	};
}

import type { RealNode } from '../support/fleet/nodes.js';
import { type FaultFleet, killAll, killHost, leaseMs } from './fleet.js';
import type { Witness } from '../support/fleet/witness.js';

/** Where a fault strikes. `target` is never the coordinator: in the coordinator's own step it is a node that is back. */
export interface Scene {
	fleet: FaultFleet;
	coordinator: RealNode;
	target: RealNode;
	/** The last that is neither of the two. */
	third: RealNode;
	witness: Witness;
}

export interface Fault {
	name: string;
	/** Whose worker processes the fault itself ends or replaces, so that they tell nothing of the rollout. */
	spoils: 'none' | 'target' | 'third';
	/** Whose requests a killed process had in hand. */
	loses: 'none' | 'target';
	/** How long it lasts: longer than a takeover takes, until the rollout is over, or it heals by itself. */
	lasts: 'takeover' | 'over' | 'moment';
	needsClocks?: true;
	strike(scene: Scene): Promise<unknown>;
	heal(scene: Scene): Promise<unknown>;
}

/** Lease, the stagger of the last in rank, and what an answer takes. */
export const takeoverMs = 3 * leaseMs;
const nothing = async (): Promise<void> => undefined;

function onNode(who: 'coordinator' | 'target'): Fault[] {
	const harmless = { spoils: 'none', loses: 'none', lasts: 'takeover' } as const;
	return [
		{
			name: `SIGKILL of the ${who}'s daemon`,
			...harmless,
			strike: (scene) => scene[who].kill('SIGKILL'),
			heal: async (scene) => scene[who].start(),
		},
		{
			name: `SIGSTOP of the ${who}'s daemon, then SIGCONT`,
			...harmless,
			strike: async (scene) => scene[who].child?.kill('SIGSTOP'),
			heal: async (scene) => scene[who].child?.kill('SIGCONT'),
		},
		{
			name: `${who} cut from all others`,
			...harmless,
			strike: async ({ fleet, ...scene }) => fleet.networks.isolate(scene[who].name),
			heal: async ({ fleet }) => fleet.networks.heal(),
		},
		{
			name: `disk of the ${who} full`,
			...harmless,
			strike: async ({ fleet, ...scene }) => fleet.fill(scene[who]),
			heal: async ({ fleet, ...scene }) => fleet.empty(scene[who]),
		},
	];
}

const oneWay = (name: string, from: 'coordinator' | 'target', to: 'coordinator' | 'target'): Fault => ({
	name,
	spoils: 'none',
	loses: 'none',
	lasts: 'takeover',
	strike: async ({ fleet, ...scene }) => fleet.networks.cut(scene[from].name, scene[to].name),
	heal: async ({ fleet }) => fleet.networks.heal(),
});

export const faults: readonly Fault[] = [
	...onNode('coordinator'),
	...onNode('target'),
	oneWay('target does not reach the coordinator', 'target', 'coordinator'),
	oneWay('coordinator does not reach the target', 'coordinator', 'target'),
	{
		name: "SIGKILL of the target's worker host",
		spoils: 'target',
		loses: 'none',
		lasts: 'moment',
		strike: async ({ fleet, target }) => killHost(fleet, target),
		heal: nothing,
	},
	{
		name: "SIGKILL of a third node's worker host",
		spoils: 'third',
		loses: 'none',
		lasts: 'moment',
		strike: async ({ fleet, third }) => killHost(fleet, third),
		heal: nothing,
	},
	{
		name: 'target never comes back',
		spoils: 'target',
		loses: 'target',
		lasts: 'over',
		strike: ({ fleet, target, witness }) => killAll(fleet, target, witness.sighting(target.name).alive),
		heal: async ({ target }) => target.start(),
	},
	{
		name: 'second operator',
		spoils: 'none',
		loses: 'none',
		lasts: 'moment',
		strike: ({ third }) => third.call('restart_service', { service: 'http_workers', replicated: true }),
		heal: nothing,
	},
	{
		name: 'clocks jump: coordinator +1 h, target -1 h',
		spoils: 'none',
		loses: 'none',
		lasts: 'takeover',
		needsClocks: true,
		strike: async ({ fleet, coordinator, target }) => {
			fleet.turnClock(coordinator, 3600);
			fleet.turnClock(target, -3600);
		},
		heal: async ({ fleet, coordinator, target }) => {
			fleet.turnClock(coordinator, 0);
			fleet.turnClock(target, 0);
		},
	},
];

import type { WorkerRow } from '../../src/workers/types.js';
import type { DaemonLog, LogLine } from '../support/daemon-log.js';
import type { RealNode } from '../support/fleet/nodes.js';
import { waitFor } from '../support/fleet/nodes.js';
import type { Witness } from '../support/fleet/witness.js';

/** What is seen of one rollout while it goes on. */
export interface Course {
	coordinator: RealNode;
	/** The node whose step the phase is in. */
	target: RealNode;
	logs: ReadonlyMap<string, DaemonLog>;
	witness: Witness;
}

/** A moment of a rollout that can be recognised from outside. */
export interface Phase {
	name: string;
	/** Whose step it is in. */
	step: string;
	/** Resolves at the moment. */
	reached(course: Course): Promise<unknown>;
}

const phaseMs = 60_000;

export const says =
	(who: (course: Course) => RealNode, event: string, more: (line: LogLine, course: Course) => boolean = () => true) =>
	(course: Course): Promise<LogLine> => {
		const log = course.logs.get(who(course).name);
		if (!log) throw new Error('no log');
		return log.seen(event, (line) => line.event === event && more(line, course), 0, phaseMs);
	};

export const workersOf =
	(holds: (rows: WorkerRow[]) => boolean) =>
	({ target }: Course): Promise<void> =>
		waitFor('the workers', async () => holds(await target.workers()), undefined, phaseMs, 5);

export const coordinator = (course: Course): RealNode => course.coordinator;
export const target = (course: Course): RealNode => course.target;

/** Every phase of a rollout of three nodes, in their order: the first node's step, and the coordinator's own, which is the last. */
export const phases: readonly Phase[] = [
	{ name: 'asked', step: 'beta', reached: async () => undefined },
	{ name: 'lease held', step: 'beta', reached: says(coordinator, 'lease_held') },
	{ name: 'first grant', step: 'beta', reached: says(coordinator, 'step_granted') },
	{ name: 'grant stored', step: 'beta', reached: says(target, 'step_begun') },
	{
		name: 'workers starting',
		step: 'beta',
		reached: ({ witness, target: { name } }) =>
			waitFor('a new process', () => witness.sighting(name).came.length > 0, undefined, phaseMs, 5),
	},
	{ name: 'proving', step: 'beta', reached: workersOf((rows) => rows.some(({ state }) => state === 'proving')) },
	{
		name: 'joined',
		step: 'beta',
		reached: ({ witness, target: { name } }) =>
			waitFor(
				'an answer of a new worker',
				() => {
					const { came, answering } = witness.sighting(name);
					return came.some((pid) => answering.includes(pid));
				},
				undefined,
				phaseMs,
				5,
			),
	},
	{ name: 'draining', step: 'beta', reached: workersOf((rows) => rows.some(({ state }) => state === 'draining')) },
	{ name: 'evidence on its way', step: 'beta', reached: says(target, 'step_done') },
	{
		name: 'between nodes',
		step: 'beta',
		reached: says(
			coordinator,
			'node_state',
			(line, course) => line.target === course.target.name && line.state === 'back',
		),
	},
	{ name: "coordinator's own step", step: 'alpha', reached: says(coordinator, 'step_begun') },
	{ name: 'ending', step: 'alpha', reached: says(coordinator, 'rollout_ended') },
];

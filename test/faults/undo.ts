import type { RolloutView } from '../../src/rollout/types.js';
import type { DaemonLog, LogLine } from '../support/daemon-log.js';
import { deploy } from '../support/fleet/deploy.js';
import type { Sighting } from '../support/fleet/witness.js';
import { oldRelease, releaseText } from './fleet.js';
import { coordinator, type Course, type Phase, says, target, workersOf } from './phases.js';
import { type Table, workersWanted } from './scenario.js';

const newRelease = 'v2';
/** Where the new release does not start. Before it these have taken it, by name; gamma and alpha have not had their turn. */
const refuses = 'epsilon';
const takes = ['beta', 'delta'];

const first = ({ logs }: Course): string | undefined => {
	const lines = [...logs.values()].flatMap((log: DaemonLog) => log.lines);
	return lines.find(({ event }) => event === 'step_granted')?.rollout;
};
const ofUndo = (line: LogLine, course: Course): boolean => line.rollout !== first(course);
const isBack = (line: LogLine, course: Course): boolean =>
	ofUndo(line, course) && line.target === course.target.name && line.state === 'back';
const stepBack = says(target, 'step_begun', ofUndo);

/** Of a rollout that is refused by its third node and put back; `step` names whose it is, or whose is next. */
const phases: readonly Phase[] = [
	{ name: 'refused step', step: refuses, reached: says(target, 'step_begun') },
	{ name: 'refusal on its way', step: refuses, reached: says(target, 'step_done') },
	{ name: 'undo due', step: 'beta', reached: says(coordinator, 'rollout_halted') },
	{ name: 'undo opened', step: 'beta', reached: says(coordinator, 'rollout_reverted') },
	{ name: 'first step back', step: 'beta', reached: stepBack },
	{
		name: 'first draining',
		step: 'beta',
		reached: async (course) => {
			await stepBack(course);
			await workersOf((rows) => rows.some(({ state }) => state === 'draining'))(course);
		},
	},
	{ name: 'first is back', step: 'beta', reached: says(coordinator, 'node_state', isBack) },
	{ name: 'last step back', step: 'delta', reached: stepBack },
	{ name: 'last is back', step: 'delta', reached: says(coordinator, 'node_state', isBack) },
	{ name: 'undo ending', step: 'delta', reached: says(coordinator, 'rollout_ended', ofUndo) },
];

/** A bad release on five nodes under `on_failure: revert`: in the end every node runs the old one. */
export const undo: Table = {
	names: ['alpha', 'beta', 'delta', 'epsilon', 'gamma'],
	phases,
	prepare: ({ nodes }) => {
		for (const node of nodes)
			deploy(
				node,
				newRelease,
				node.name === refuses ? "throw new Error('no such table: orders');" : releaseText(newRelease),
			);
	},
	asks: { operation: 'start_rollout', fields: { on_failure: 'revert' } },
	wayOut: ({ id, reverts }) =>
		reverts ? { operation: 'resume_rollout', fields: { id } } : { operation: 'undo_rollout', fields: { id } },
	judgeViews: judgeUndo,
	judgeNode: (seen, _views, spoiled) => [...judgeRelease(seen), ...(spoiled ? [] : judgeSteps(seen))],
};

function judgeUndo(views: readonly RolloutView[]): string[] {
	const undos = views.filter(({ reverts }) => reverts);
	const states = views.map(({ state, reverts }) => `${reverts ? 'an undo' : 'a rollout'} ${state}`).join(', ');
	return undos.length === 1 && undos[0]?.state === 'completed' && views.length === 2
		? []
		: [`not one rollout and its undo, but ${states}`];
}

const judgeRelease = ({ releases }: Sighting): string[] =>
	releases.join() === oldRelease ? [] : [`runs ${releases.join(' and ')}`];

/** A node that took the new release is replaced once by it and once back; what the others ran is never replaced. */
function judgeSteps({ node, before, came, alive }: Sighting): string[] {
	if (takes.includes(node)) return came.length === 2 * workersWanted ? [] : [`${came.length} workers came`];
	const gone = before.filter((pid) => !alive.includes(pid));
	const isIdle = node !== refuses && came.length > 0;
	return [...(gone.length > 0 ? ['old workers ended'] : []), ...(isIdle ? ['workers came'] : [])];
}

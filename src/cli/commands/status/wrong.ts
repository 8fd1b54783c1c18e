import { clockOffsetNamedMs } from '../../../fleet/links/clock-offset.js';
import { certificateRemedy } from '../../../fleet/links/certificate-fault.js';
import type { ClusterNode } from '../../../fleet/types.js';
import type { RolloutView } from '../../../rollout/types.js';
import type { WorkerRow } from '../../../workers/types.js';
import { rotationNote } from '../../certificates/rotation.js';
import { count, shortId, span } from '../../output/format.js';
import { subject } from '../../output/render.js';
import { clean, fit } from '../../output/terminal.js';
import { type AppStatus, isSilent, type Status } from './types.js';

/** How the commands that are advised name the daemon, and the node if it is another one. */
interface Advice {
	words: string;
	node: string;
}

/** The faults in what was gathered, the worst first, each with what to do where that is known. */
export function findWrong(found: Omit<Status, 'wrong'>, words: string, now: number): string[] {
	const { node, workers, fleet, rollout, nodes } = found;
	const self = fleet.nodes.find(({ link }) => link === 'self')?.name ?? node.name;
	const asked = nodes ?? [{ ...node, workers }];
	const isDown = (name: string): boolean => fleet.nodes.some((row) => row.name === name && row.link === 'down');
	return [
		...asked.flatMap((one) => {
			// Of a link that is down the fleet's row says more.
			if (isSilent(one)) return isDown(one.name) ? [] : [`${one.name} does not answer: ${one.error}`];
			return named(one.name, wrongHere(one, { words, node: self }), asked.length > 1);
		}),
		...fleet.nodes.flatMap((row) => wrongWithNode(row, words, now)),
		// What was asked has said itself whether it is ready.
		...fleet.nodes.filter(({ name }) => !asked.some((one) => one.name === name)).flatMap(wrongByLink),
		...[rotationNote(fleet.nodes)].filter((note) => note !== null),
		...(rollout === null ? [] : wrongWithRollout(rollout, words)),
	];
}

/** Of several nodes each sentence says which one it is about. */
const named = (name: string, texts: readonly string[], several: boolean): string[] =>
	texts.map((text) => (!several || text.startsWith(`${name} is `) ? text : `${name}: ${text}`));

const wrongByLink = ({ name, link, ready }: ClusterNode): string[] =>
	link === 'up' && ready === false ? [`${name} is not ready`] : [];

type Here = Status['node'] & { workers: WorkerRow[] };

function wrongHere({ name, ready, reasons, notes, apps, workers }: Here, { words, node }: Advice): string[] {
	const rest = `${name === node ? '' : ` --node ${name}`}${words}`;
	return [
		...(ready ? [] : [`${name} is not ready: ${reasons.join('; ') || 'no reason given'}`]),
		...apps.flatMap((app) => wrongWithApp(app, rest)),
		...notes,
		...workers.filter(({ state }) => state === 'failed').map((row) => wrongWithWorker(row, rest)),
	];
}

function wrongWithApp({ app, wanted, healthy, degraded }: AppStatus, rest: string): string[] {
	if (healthy >= wanted && degraded === null) return [];
	const why = degraded === null ? '' : `: ${fit(clean(degraded), degradedColumns)}`;
	return [`${app} has ${healthy} of ${wanted} workers healthy${why}. See: rollcall logs ${app}${rest}`];
}

/** What a worker said last may be long; its log has all of it. */
const degradedColumns = 240;

const wrongWithWorker = ({ id, app, restarts }: WorkerRow, rest: string): string =>
	`${id} failed after ${count(restarts, 'restart')}. See: rollcall logs ${app}${rest}`;

function wrongWithNode(
	{ name, link, last_seen, availability, configuration, ...row }: ClusterNode,
	words: string,
	now: number,
): string[] {
	const wrong: string[] = [];
	const seen = last_seen === null ? 'never seen' : `last seen ${span(now - last_seen)} ago`;
	const { reason, clock_offset_ms: offsetMs } = row;
	if (link === 'down') {
		const remedy = certificateRemedy(reason ?? '');
		const why = reason ? `: ${fit(clean(reason), linkReasonColumns)}` : '';
		wrong.push(`no link to ${name}, ${seen}${why}${remedy === null ? '' : `. ${remedy}`}`);
	}
	if (offsetMs && Math.abs(offsetMs) > clockOffsetNamedMs)
		wrong.push(
			`the clock of ${name} is ${span(Math.abs(offsetMs))} ${offsetMs > 0 ? 'ahead of' : 'behind'} that of this node; set the wrong one right (timedatectl)`,
		);
	if (link === 'up' && configuration === 'last_good')
		wrong.push(`${name} runs by its last good configuration: its file does not check, so it takes part in no rollout`);
	if (availability === 'Unavailable')
		wrong.push(
			`an operator has taken ${name} out of its load balancers. Put it back: rollcall node ready ${name}${words}`,
		);
	return wrong;
}

/** What both ends say of a link that is not made; `cluster_status` has all of it. */
const linkReasonColumns = 600;

/** The whole reason stands further below. */
const reasonColumns = 160;

function wrongWithRollout({ id, state, reason, ...view }: RolloutView, words: string): string[] {
	const stands = view.held ? `held after ${view.hold_after}` : 'paused';
	if (state === 'paused')
		return [
			`rollout ${shortId(id)} is ${stands}. Go on: rollcall rollout resume ${shortId(id)}${words}; end it: rollcall rollout abort ${shortId(id)}${words}`,
		];
	if (state !== 'halted') return [];
	const why = fit(clean(reason ?? 'no reason given'), reasonColumns);
	return [
		`rollout ${shortId(id)} (${subject(view)}) is halted: ${why}. See: rollcall rollout status ${shortId(id)}${words}`,
	];
}

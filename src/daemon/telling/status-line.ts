import { unendedRollout } from './observe.js';
import type { Fleet } from '../../fleet/types.js';
import type { ReadinessReport } from '../../server/readiness.js';
import type { Supervisor } from '../../workers/types.js';

/**
 * One line for `systemctl status`: whether the node is ready and why not, the workers of each app, the fleet, and the
 * rollout that has not ended. `ready; web 2 of 2; 3 of 3 nodes; http_workers running, waiting for beta: …`.
 */
export function statusLine(
	{ ready, reasons, apps }: ReadinessReport,
	fleet: Pick<Fleet, 'clusterStatus' | 'complaint' | 'list'>,
	runsByLastGood = false,
): string {
	const { nodes } = fleet.clusterStatus();
	const linked = nodes.filter(({ link }) => link !== 'down').length;
	return [
		ready ? 'ready' : `not ready: ${reasons.join(', ')}`,
		...(runsByLastGood ? ['RUNS BY ITS LAST GOOD CONFIGURATION, since the file does not check: see the log'] : []),
		...apps.map(({ app, wanted, healthy }) => `${app} ${healthy} of ${wanted}`),
		...(nodes.length > 1 ? [`${linked} of ${nodes.length} nodes`] : []),
		...rolloutParts(fleet),
	].join('; ');
}

function rolloutParts(fleet: Pick<Fleet, 'complaint' | 'list'>): string[] {
	const complaint = fleet.complaint();
	if (complaint !== null) return [complaint];
	const rollout = unendedRollout(fleet);
	if (!rollout) return [];
	const waits = rollout.waiting_for ?? rollout.reason;
	return [`${rollout.service ?? rollout.type} ${rollout.state}${waits === null ? '' : `, ${waits}`}`];
}

/** Tells the line now, and anew whenever it changes. */
export function tellStatusLine(
	sources: {
		fleet: Fleet;
		supervisor: Supervisor;
		around: readonly { on(event: 'changed', listener: () => void): unknown }[];
	},
	line: () => string,
	tell: (line: string) => void,
): void {
	let told = '';
	const look = (): void => {
		const text = line();
		if (text === told) return;
		told = text;
		tell(text);
	};
	for (const event of ['rollout', 'link', 'recordError'] as const) sources.fleet.on(event, look);
	sources.supervisor.on('readiness', look);
	for (const one of sources.around) one.on('changed', look);
	look();
}

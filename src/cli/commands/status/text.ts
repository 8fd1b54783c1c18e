import type { ClusterNode } from '../../../fleet/types.js';
import { count, forPeople, shortRevision } from '../../output/format.js';
import { fleetText, rolloutText, workersText } from '../../output/render.js';
import { type Column, paint, table } from '../../output/table.js';
import { clean, indent, indented, type Page, plainPage } from '../../output/terminal.js';
import { type AppStatus, type AskedNode, isSilent, type Status } from './types.js';

export function statusText(status: Status, now: number, page = plainPage): string {
	const { wrong, node, workers, nodes, fleet, rollout } = status;
	const inner = indented(page);
	const sections: string[] = [];
	if (wrong.length > 0) sections.push([paint('WRONG', 'bad', page), wrongText(status, now, '  ! ')].join('\n'));
	if (nodes === undefined || nodes.length === 1) {
		sections.push(nodeText(status, page));
		sections.push(`Workers of ${clean(node.name)}\n${indent(workersText(workers, now, inner).trimEnd())}`);
	} else {
		sections.push(readyText(nodes, page));
		sections.push(`Apps\n${indent(appsText(nodes, inner))}`);
	}
	if (fleet.nodes.length > 1) sections.push(`Fleet\n${indent(fleetText(fleet.nodes, fleet.coordinator, now, inner))}`);
	if (rollout !== null) sections.push(`Rollout\n${indent(rolloutText(rollout, now, inner))}`);
	return sections.join('\n\n');
}

/** A line each. */
export const wrongText = ({ wrong }: Status, now: number, mark = ''): string =>
	wrong.map((line) => `${mark}${clean(forPeople(line, now))}`).join('\n');

function nodeText({ node, fleet }: Status, page: Page): string {
	const row = fleet.nodes.find(({ name }) => name === node.name);
	const readiness = node.ready ? paint('ready', 'good', page) : paint('NOT READY', 'bad', page);
	return `${clean(node.name)} is ${readiness} (${clean(factsOf(node.boot, row).join(', '))})`;
}

const factsOf = (boot: number, row: ClusterNode | undefined): string[] => [
	...(boot > 0 ? [`boot ${boot}`] : []),
	...(row?.version ? [`version ${row.version}`] : []),
	...(row?.zone ? [`zone ${row.zone}`] : []),
	...(row?.availability ? [`availability ${row.availability}`] : []),
];

function readyText(nodes: readonly AskedNode[], page: Page): string {
	const ready = nodes.filter((one) => !isSilent(one) && one.ready).length;
	const text = `${ready} of ${count(nodes.length, 'node')}`;
	return `${paint(text, ready === nodes.length ? 'good' : 'bad', page)} ${nodes.length === 1 ? 'is' : 'are'} ready`;
}

/** Which app runs which release where. */
function appsText(nodes: readonly AskedNode[], page: Page): string {
	const rows = nodes.flatMap((one) => (isSilent(one) ? [] : one.apps.map((app) => ({ node: one.name, ...app }))));
	if (rows.length === 0) return 'no apps';
	const isShort = ({ healthy, wanted }: AppStatus): boolean => healthy < wanted;
	const columns: Column<AppStatus & { node: string }>[] = [
		{ title: 'NODE', value: ({ node }) => node },
		{ title: 'APP', value: ({ app }) => app },
		{
			title: 'HEALTHY',
			value: ({ healthy, wanted }) => `${healthy} of ${wanted}`,
			tone: (row) => (isShort(row) ? 'bad' : null),
		},
		{ title: 'REVISION', value: ({ release }) => shortRevision(release?.revision) },
		{ title: 'RELEASE', value: ({ release }) => release?.path ?? null, cut: 'start' },
	];
	return table(rows, columns, page);
}

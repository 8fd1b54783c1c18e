/** What config/integrations has fits this Rollcall: its series, labels, commands, keys and files exist, and the manual lists each. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { topics } from '../../src/cli/commands/help.js';
import { referenceRows } from '../../src/config/publish/reference.js';
import { createMetrics } from '../../src/system/metrics.js';
import { commandLines, commandPaths, namedCommands, refusalOf } from '../support/pages/command-lines.js';
import { readPage, repository } from '../support/pages/pages.js';

const folder = `${repository}config/integrations/`;
const files = readdirSync(folder, { recursive: true, withFileTypes: true })
	.filter((entry) => entry.isFile())
	.map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.length).replace(/^\//, ''))
	.sort();
const read = (path: string): string => readFileSync(folder + path, 'utf8');

/** The one value of a YAML file, which has neither fault nor warning. */
function yaml<Value>(path: string): Value {
	const document = parseDocument(read(path), { strict: true, uniqueKeys: true });
	assert.deepEqual([...document.errors, ...document.warnings], [], path);
	return document.toJS() as Value;
}

interface Rule {
	alert: string;
	expr: string;
	for?: string;
	labels: Record<string, string>;
	annotations: Record<string, string>;
}
interface Panel {
	id: number;
	type: string;
	title: string;
	datasource: { uid: string };
	gridPos: { x: number; y: number; w: number; h: number };
	targets: { expr: string; legendFormat: string }[];
}

const rules = (): Rule[] =>
	yaml<{ groups: { rules: Rule[] }[] }>('prometheus/alerts.yaml').groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(read('grafana-dashboard.json')) as {
	panels: Panel[];
	templating: { list: { name: string }[] };
};
const known = new Map(
	createMetrics('')
		.series()
		.map(({ name, labels }) => [name, labels]),
);
/** Prometheus adds these itself. */
const added = ['job', 'instance', 'le'];

/** What of an expression, and of the text that shows its result, is not there. */
function faultsOf(expression: string, shown: string): string[] {
	const names = [...expression.matchAll(/\b(?:rollcall_\w+|up)\b/g)].map(([name]) =>
		name.replace(/_(bucket|sum|count)$/, ''),
	);
	const labels = names.flatMap((name) => known.get(name) ?? []);
	const used = [
		...[...expression.matchAll(/[{,]\s*(\w+)\s*(?:=|!)/g)].map(([, label]) => label ?? ''),
		...[...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => (list ?? '').split(/\s*,\s*/)),
		...[...shown.matchAll(/\{\{\s*(?:\$labels\.)?([a-z]\w*)\s*\}\}/g)].map(([, label]) => label ?? ''),
	];
	return [
		...names.filter((name) => name !== 'up' && !known.has(name)).map((name) => `no series ${name}`),
		...used.filter((label) => !labels.includes(label) && !added.includes(label)).map((label) => `no label ${label}`),
		...(names.length === 0 ? ['no series at all'] : []),
	];
}

test('alerts and dashboard ask for series and labels that there are', () => {
	assert.ok(rules().length > 10 && dashboard.panels.length > 10);
	for (const { alert, expr, annotations } of rules())
		assert.deepEqual(faultsOf(expr, Object.values(annotations).join(' ')), [], alert);
	for (const { title, targets } of dashboard.panels)
		for (const { expr, legendFormat } of targets) assert.deepEqual(faultsOf(expr, legendFormat), [], title);
	assert.deepEqual(faultsOf('sum by (ap) (rollcall_wanted_worker{stat="x"})', '{{ $labels.nod }}'), [
		'no series rollcall_wanted_worker',
		'no label stat',
		'no label ap',
		'no label nod',
	]);
});

test('every alert has a name of its own, how bad it is, what is so and what to do', () => {
	const names = rules().map(({ alert }) => alert);
	assert.equal(new Set(names).size, names.length);
	for (const { alert, labels, annotations } of rules()) {
		assert.match(labels['severity'] ?? '', /^(warning|critical)$/, alert);
		assert.match(annotations['summary'] ?? '', /\.$/, alert);
		assert.match(annotations['action'] ?? '', /`rollcall /, alert);
	}
	const { rule_files: listed, scrape_configs: scrapes } = yaml<{
		rule_files: string[];
		scrape_configs: { job_name: string }[];
	}>('prometheus/prometheus.yaml');
	assert.deepEqual([listed, scrapes.map(({ job_name: name }) => name)], [['alerts.yaml'], ['rollcall']]);
});

test('the panels of the dashboard have ids and places of their own, and the data source that is chosen', () => {
	const taken = new Map<string, string>();
	assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
	assert.deepEqual(
		dashboard.templating.list.map(({ name }) => name),
		['datasource', 'job'],
	);
	for (const { title, datasource, gridPos } of dashboard.panels) {
		assert.equal(datasource.uid, `\${datasource}`);
		assert.ok(gridPos.x + gridPos.w <= 24, title);
		for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
			for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
				assert.equal(taken.get(`${x} ${y}`), undefined, title);
				taken.set(`${x} ${y}`, title);
			}
		}
	}
});

test('the command line takes every command that stands there, with its options', async () => {
	const words = [...topics(), ...commandPaths().map((path) => path.split(' ')[0] ?? '')];
	let count = 0;
	for (const path of files) {
		// What another program fills in is one word.
		const text = read(path)
			.replaceAll(/\$?\{\{.*?\}\}/g, '')
			.replaceAll('…', 'alpha=10.0.0.1');
		const lines = text
			.split('\n')
			.map((line) => line.trim().replace(/^(- )?(run: |cmd: |ExecStart=\/usr\/bin\/env )?/, ''));
		const named = [...text.replaceAll(/\n#? */g, ' ').matchAll(/`(rollcall [^`]+)`/g)].flatMap(([, line]) =>
			namedCommands(line ?? ''),
		);
		for (const line of [...lines.flatMap(commandLines), ...named]) {
			assert.equal(await refusalOf(line, words, named.includes(line)), null, `${path}: rollcall ${line.join(' ')}`);
			count++;
		}
	}
	assert.ok(count > 25, `${count} commands`);
});

test('keys of the configuration that stand there exist, and the ports are their defaults', () => {
	const keys = new Map(referenceRows().map((row) => [row.key, row]));
	const all = files.map(read).join('\n');
	const named = [...all.matchAll(/\b(?:operations_api|rollout|cluster)\.[a-z_.]*[a-z_]/g)].map(([key]) => key);
	assert.ok(named.length > 5);
	assert.deepEqual(
		named.filter((key) => ![...keys.keys()].some((one) => one === key || one.startsWith(`${key}.`))),
		[],
	);
	for (const [key, port] of [
		['health', '9926'],
		['metrics', '9927'],
	] as const) {
		assert.equal(keys.get(`operations_api.${key}.port`)?.default, port);
		assert.ok(all.includes(port));
	}
});

interface Task extends Record<string, unknown> {
	name: string;
	register?: string;
}

test('each task of the Ansible role does one thing by its full name, with variables that have a default', () => {
	const tasks = yaml<Task[]>('ansible/roles/rollcall/tasks/main.yml');
	const defaults = Object.keys(yaml<Record<string, unknown>>('ansible/roles/rollcall/defaults/main.yml'));
	const settings = ['name', 'loop', 'register', 'changed_when', 'diff'];
	for (const task of tasks) {
		const modules = Object.keys(task).filter((key) => !settings.includes(key));
		assert.equal(modules.length, 1, task.name);
		assert.match(modules[0] ?? '', /^ansible\.builtin\.(user|file|copy|apt|command)$/, task.name);
		const copied = task['ansible.builtin.copy'] as { mode?: string } | undefined;
		if (copied) assert.equal(copied.mode, '0600', task.name);
	}
	const used = new Set(
		[...read('ansible/roles/rollcall/tasks/main.yml').matchAll(/\brollcall_\w+/g)].map(([name]) => name),
	);
	const registered = tasks.flatMap(({ register }) => (register === undefined ? [] : [register]));
	assert.deepEqual([...used].sort(), [...defaults, ...registered].sort());
	const [play] = yaml<{ roles: { role: string; vars: Record<string, unknown> }[] }[]>('ansible/playbook.yaml');
	assert.deepEqual(
		Object.keys(play?.roles[0]?.vars ?? {}).filter((name) => !defaults.includes(name)),
		[],
	);
});

test('the job of GitHub Actions names what it may, how long it takes, and one thing a step; cloud-init has keys that it knows', () => {
	const { permissions, concurrency, jobs } = yaml<{
		permissions: Record<string, string>;
		concurrency: Record<string, unknown>;
		jobs: Record<string, { 'runs-on': string; 'timeout-minutes': number; steps: Record<string, unknown>[] }>;
	}>('github-actions.yaml');
	assert.deepEqual([permissions, concurrency['cancel-in-progress']], [{ contents: 'read' }, false]);
	for (const job of Object.values(jobs)) {
		assert.ok(job['runs-on'] && job['timeout-minutes'] > 0);
		for (const step of job.steps) {
			assert.ok(typeof step['name'] === 'string' && (step['run'] === undefined) !== (step['uses'] === undefined));
			// A text that others give must reach the shell as a variable.
			assert.doesNotMatch(String(step['run']), /\$\{\{/);
		}
	}
	assert.match(read('cloud-init.yaml'), /^#cloud-config\n/);
	assert.deepEqual(Object.keys(yaml<object>('cloud-init.yaml')), ['users', 'write_files', 'runcmd']);
});

test('every brace of the load balancers has its end, and the manual lists every file', () => {
	for (const path of ['nginx.conf', 'Caddyfile']) {
		let depth = 0;
		for (const mark of read(path).replaceAll(/#.*$/gm, '').match(/[{}]/g) ?? []) {
			depth += mark === '{' ? 1 : -1;
			assert.ok(depth >= 0, path);
		}
		assert.equal(depth, 0, path);
	}
	const page = readPage('src/manual/begin/integrations.md');
	const listed = (path: string): boolean => page.includes(`integrations/${path}`) || /\/roles\//.test(path);
	assert.deepEqual(
		files.filter((path) => !listed(path)),
		[],
	);
});

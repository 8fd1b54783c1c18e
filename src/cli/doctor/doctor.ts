import { readFileSync } from 'node:fs';
import { type LoadedConfig, loadConfig } from '../../config/load.js';
import { messageOf, RollcallError } from '../../errors.js';
import type { RolloutView } from '../../rollout/types.js';
import type { WorkerRow } from '../../workers/types.js';
import { Client } from '../client/client.js';
import { configFileDefault, readSocketPath } from '../client/places.js';
import type { Context } from '../context.js';
import { count } from '../output/format.js';
import { paint } from '../output/table.js';
import { clean, type Page, writeResult } from '../output/terminal.js';
import { thisHost } from './host.js';
import { checksBySubject } from './table.js';
import { type Check, type CheckState, type DaemonAnswers, type Examination, type Finding, unseen } from './types.js';

/** A daemon that is there answers at once. */
const answerTimeoutMs = 3_000;
const rolloutsLookedAt = 10;
/** Longest that one check may take: it asks the network at most twice. */
const checkTimeoutMs = 15_000;

export interface Examined extends Finding {
	subject: string;
	check: string;
}

/** Checks this host, its configuration and its daemon; reports each fault with the command that fixes it. Read-only. */
export async function doctor({ options, terminal, session }: Context): Promise<number> {
	const examination = await examine(options.config ?? configFileDefault, options.socket ?? null, session.signal);
	const findings = await runChecks(examination);
	const number = (state: CheckState) => findings.filter((finding) => finding.state === state).length;
	const document = {
		config: examination.configFile,
		node: examination.daemon?.cluster.node ?? examination.config?.node.name ?? null,
		wrong: number('wrong'),
		warnings: number('warning'),
		unseen: number('unseen'),
		findings,
	};
	writeResult(terminal, document, (page) => textOf(findings, page));
	return document.wrong > 0 ? 1 : 0;
}

async function examine(configFile: string, socket: string | null, signal: AbortSignal): Promise<Examination> {
	const { config, fault: configurationFault } = readConfiguration(configFile);
	const { answers, fault: daemonFault } = await askDaemon(configFile, socket, signal);
	const file = new URL('../../../../package.json', import.meta.url);
	const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
	const now = Date.now();
	return { now, host: thisHost(), configFile, config, configurationFault, daemon: answers, daemonFault, version };
}

/** A user who may not read the secrets that the file names can still have the rest of it looked at. */
function readConfiguration(file: string): { config: LoadedConfig | null; fault: string | null } {
	const load = (secretFiles: 'checked' | 'ignored') =>
		loadConfig({ file, env: process.env, underSystemd: true, secretFiles });
	const isRoot = process.geteuid?.() === 0;
	try {
		return { config: load(isRoot ? 'checked' : 'ignored'), fault: null };
	} catch (error) {
		return { config: null, fault: messageOf(error) };
	}
}

async function askDaemon(
	configFile: string,
	socket: string | null,
	signal: AbortSignal,
): Promise<{ answers: DaemonAnswers | null; fault: string | null }> {
	let client: Client | null = null;
	try {
		const path = socket ?? (await readSocketPath(configFile === configFileDefault ? null : configFile, process.env));
		client = new Client({ target: { kind: 'socket', path }, credentials: null, timeoutMs: answerTimeoutMs, signal });
		return { answers: await answersOf(client), fault: null };
	} catch (error) {
		if (signal.aborted) throw error;
		return { answers: null, fault: messageOf(error) };
	} finally {
		client?.close();
	}
}

async function answersOf(client: Client): Promise<DaemonAnswers> {
	const unavailable =
		<Value>(value: Value) =>
		(error: unknown): Value => {
			if (error instanceof RollcallError && error.code !== 'unreachable') return value;
			throw error;
		};
	const [cluster, workers, rollouts, users, page] = await Promise.all([
		client.operation('cluster_status') as Promise<DaemonAnswers['cluster']>,
		client.operation('list_workers') as Promise<WorkerRow[]>,
		(client.operation('list_rollouts', { limit: rolloutsLookedAt }) as Promise<RolloutView[]>).catch(unavailable([])),
		(client.operation('list_users') as Promise<unknown[]>).catch(unavailable(null)),
		client.get('/readyz'),
	]);
	const { ready, reasons, notes } = (page.body ?? {}) as { ready?: boolean; reasons?: string[]; notes?: string[] };
	return {
		cluster,
		workers,
		rollouts,
		users: users === null ? null : users.length,
		ready: ready === true,
		reasons: reasons ?? [],
		notes: notes ?? [],
	};
}

/** All checks side by side; one that fails itself is a finding, and never ends the others. */
export async function runChecks(examination: Examination): Promise<Examined[]> {
	const all = Object.entries(checksBySubject).flatMap(([subject, checks]) =>
		checks.map(async (check) => {
			const findings = await findingsOf(check, examination);
			return findings.map((finding) => ({ subject, check: check.name, ...finding }));
		}),
	);
	return (await Promise.all(all)).flat();
}

async function findingsOf(check: Check, examination: Examination): Promise<Finding[]> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<Finding[]>((resolve) => {
		const text = `the check did not end within ${checkTimeoutMs / 1000} s`;
		timer = setTimeout(() => resolve([unseen(text)]), checkTimeoutMs);
	});
	try {
		return await Promise.race([Promise.resolve(examination).then(check.look), late]);
	} catch (error) {
		return [unseen(`the check itself failed: ${messageOf(error)}`)];
	} finally {
		clearTimeout(timer);
	}
}

const order: readonly CheckState[] = ['wrong', 'warning', 'unseen', 'ok'];
const titles = { wrong: 'Wrong', warning: 'Worth a look', unseen: 'Not seen', ok: 'Fine' } as const;
const tones = { wrong: 'bad', warning: 'moving', unseen: null, ok: 'good' } as const;

/** The worst first; passed checks in one line. */
function textOf(findings: readonly Examined[], page: Page): string {
	const lines: string[] = [];
	for (const state of order) {
		const these = findings.filter((finding) => finding.state === state);
		if (these.length === 0) continue;
		const title = paint(`${titles[state]}: ${these.length}`, tones[state], page);
		if (state === 'ok') lines.push(title);
		else if (state === 'unseen') lines.push(title, ...unseenLines(these), '');
		else lines.push(title, ...these.flatMap(findingLines), '');
	}
	const wrong = findings.filter(({ state }) => state === 'wrong').length;
	return [...lines, `${count(new Set(findings.map(({ check }) => check)).size, 'check')}, ${wrong} wrong`].join('\n');
}

const findingLines = ({ check, text, command }: Examined): string[] => [
	`  ${check}: ${clean(text)}`,
	...(command === null ? [] : [`    fix: ${clean(command)}`]),
];

/** Many checks cannot be made for one and the same reason. */
function unseenLines(findings: readonly Examined[]): string[] {
	const byText = new Map<string, Set<string>>();
	for (const { text, check } of findings) byText.set(text, (byText.get(text) ?? new Set()).add(check));
	return [...byText].map(([text, checks]) => `  ${[...checks].join(', ')}: ${clean(text)}`);
}

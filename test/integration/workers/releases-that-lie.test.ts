import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { judge, type Verdict } from '../../../src/rollout/targets/proof.js';
import type { RolloutSpec } from '../../../src/rollout/types.js';
import type { ReplacementResult, Supervisor, WorkerApp } from '../../../src/workers/types.js';
import { type Load, type LoadReport, startLoad } from '../../support/workers/load.js';
import { freePorts } from '../../support/system/ports.js';
import { honest, lies, type Row } from '../../support/workers/releases.js';
import { createFor, plainApp, until } from '../../support/workers/supervised.js';

/**
 * Every row is an app whose workers serve well, and a release that is to take their place. All of them run on one worker
 * host, side by side, under load.
 */
interface Trial {
	row: Row;
	app: WorkerApp;
	before: number[];
	result: ReplacementResult;
	after: number[];
}

/** Rows that are tried at once; more would only wait for the processor. */
const sideBySide = 18;
const ratePerSecond = 120;

class Table {
	private readonly folder = mkdtempSync(join(tmpdir(), 'rl-'));
	private readonly trials = new Map<Row, Trial>();

	async run(rows: readonly Row[]): Promise<LoadReport> {
		const folder = mkdtempSync(join(this.folder, 'r'));
		const apps = await Promise.all(rows.map((row, index) => this.prepare(folder, row, `row-${index}`)));
		const supervisor = createFor(apps[0] as WorkerApp, folder, apps);
		let load: Load | null = null;
		try {
			const startedAt = performance.now();
			await supervisor.start();
			// A machine that takes long to start them gets longer to prove their successors.
			const deadlineMs = Math.max(4_000, 3 * (performance.now() - startedAt));
			const serving = supervisor.readiness();
			assert.ok(
				serving.every(({ healthy, wanted }) => healthy === wanted),
				JSON.stringify(serving),
			);
			const urls = apps.flatMap((app, index) =>
				rows[index]?.silent ? [] : [`http://127.0.0.1:${app.env['URL_PORT']}/`],
			);
			load = startLoad({ urls, ratePerSecond });
			await load.answered(urls.length * 2);
			await this.roll(supervisor, rows, apps, deadlineMs);
			await load.answered(urls.length * 2);
			return await load.stop();
		} finally {
			await load?.stop();
			await supervisor.shutdown();
		}
	}

	of(row: Row): Trial {
		const trial = this.trials.get(row);
		if (trial === undefined) throw new Error(`${row.what} was not tried`);
		return trial;
	}

	remove(): void {
		rmSync(this.folder, { recursive: true, force: true });
	}

	private async roll(
		supervisor: Supervisor,
		rows: readonly Row[],
		apps: readonly WorkerApp[],
		deadlineMs: number,
	): Promise<void> {
		const pidsOf = (app: WorkerApp) => supervisor.identities(app.name).map((one) => one.pid);
		const wanted = apps.map((one, index) => {
			const app = { ...one, health: { ...one.health, deadlineMs } };
			return { ...app, ...rows[index]?.settings?.(app) };
		});
		await Promise.all(
			rows.map(async (row, index) => {
				const app = wanted[index] as WorkerApp;
				const before = pidsOf(app);
				this.release(app, row.release, row.extension ?? 'js', 2);
				const result = await supervisor.replace({ only: [app.name], apps: wanted, deadlineMs: 60_000 });
				// A process that is being ended may take its time on a busy machine.
				await until(() => pidsOf(app).length <= app.instances, 30_000, `${row.what}: what lost to be gone`);
				this.trials.set(row, { row, app, before, result, after: pidsOf(app) });
			}),
		);
	}

	private async prepare(folder: string, row: Row, name: string): Promise<WorkerApp> {
		const [port = 0, metrics = 0, other = 0] = await freePorts(3);
		const env = { URL_PORT: String(port), METRICS: String(metrics), OTHER: String(other), SOCKET: `${folder}/${name}` };
		const app: WorkerApp = {
			...plainApp,
			name,
			script: join(folder, `${name}.current`),
			cwd: folder,
			instances: 1,
			surge: 1,
			drainTimeoutMs: 5_000,
			env: row.unnamed ? env : { ...env, PORT: String(port) },
			health: {
				path: row.path ?? null,
				timeoutMs: row.isSlow ? 2_000 : 10_000,
				// Of the workers that serve first, which are honest; their successors get theirs from how long these took.
				deadlineMs: 60_000,
				soakMs: 300,
				intervalMs: 1_000,
				failures: 3,
			},
		};
		const ready = { ...app, ...row.began?.(app) };
		this.release(ready, row.before, row.extension ?? 'js', 1);
		return ready;
	}

	private release(app: WorkerApp, program: string, extension: string, number: number): void {
		const file = join(app.cwd, `${app.name}-${number}.${extension}`);
		writeFileSync(file, program);
		if (number > 1) unlinkSync(app.script);
		symlinkSync(file, app.script);
	}
}

/** What the coordinator makes of a node's result. */
function verdictOn(app: WorkerApp, result: ReplacementResult): Verdict {
	const before = { boot: 1, workers: result.before, links: [], configHash: null };
	const after = { boot: 1, workers: result.after, links: [], configHash: null };
	const spec = { service: 'http_workers', app: app.name } as RolloutSpec;
	return judge(spec, 'solo', { before, result: { ...result, before, after } });
}

describe('releases that lie, and honest ones that look like them', () => {
	const table = new Table();
	const reports: LoadReport[] = [];
	before(async () => {
		const rows = [...lies, ...honest];
		// Dealt out like cards: rows that nobody sends requests stand together, and no round may be without any.
		const rounds = Math.ceil(rows.length / sideBySide);
		for (let round = 0; round < rounds; round += 1) {
			reports.push(await table.run(rows.filter((_, index) => index % rounds === round)));
		}
	});
	after(() => table.remove());

	for (const row of lies) {
		test(`refused: ${row.what}`, () => {
			const { result, before, after } = table.of(row);
			assert.equal(result.outcome, 'refused', result.reason ?? '');
			assert.match(result.reason ?? '', row.says);
			assert.deepEqual(after, before, 'every old process is there, and no other');
		});
	}

	for (const row of honest) {
		test(`taken: ${row.what}`, () => {
			const { result, before, after, app } = table.of(row);
			assert.equal(result.outcome, 'back', result.reason ?? '');
			assert.deepEqual(verdictOn(app, result), { state: 'back', reason: null });
			assert.ok(after.length === app.instances && !after.some((pid) => before.includes(pid)));
			if (row.proves) assert.deepEqual(result.after[0]?.ports, row.proves(app).sort());
		});
	}

	test('no request was lost', () => {
		const lost = reports.map(({ lost, failures }) => ({ lost, failures }));
		assert.deepEqual(
			lost,
			Array.from(reports, () => ({ lost: 0, failures: [] })),
		);
	});
});

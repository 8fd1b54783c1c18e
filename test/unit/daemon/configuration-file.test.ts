import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { EventEmitter } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { lastGoodFile } from '../../../src/config/last-good.js';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigurationFile } from '../../../src/daemon/configuration-file.js';
import { createLocalNode, type LocalNodeParts } from '../../../src/daemon/local-node.js';
import { createLogger } from '../../../src/log.js';
import type { RolloutSpec, Snapshot } from '../../../src/rollout/types.js';

const before: Snapshot = { boot: 1, workers: [], links: [], configHash: null, releases: {} };

describe('the last good configuration of a node that runs', () => {
	let folder: string;
	let file: string;
	let configuration: ConfigurationFile;
	const write = (script: string): void =>
		writeFileSync(
			file,
			`node: {name: alpha}\nstate_dir: ${join(folder, 'state')}\nhttp_workers: [{name: web, script: ${script}}]\n`,
			{ mode: 0o600 },
		);
	const kept = (): string | undefined =>
		/script: (\S+)\}/.exec(readFileSync(join(folder, 'state', lastGoodFile), 'utf8'))?.[1];

	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), 'rc-file-'));
		file = join(folder, 'rollcall.yaml');
		mkdirSync(join(folder, 'state'), { mode: 0o700 });
		write('one.js');
		const config = loadConfig({ file, env: {} });
		configuration = new ConfigurationFile({ config, standIn: null, environment: {}, logger: createLogger('silent') });
	});
	afterEach(() => rmSync(folder, { recursive: true, force: true }));

	it('is what came into force, not what was read last', async () => {
		const first = configuration.read();
		write('two.js');
		const second = configuration.read();
		await configuration.accepted(first.source);
		assert.equal(kept(), 'one.js');
		await configuration.accepted(second.source);
		assert.equal(kept(), 'two.js');
	});

	it('is what a step was made by, also when a plan reads a newer file while the step runs', async () => {
		const app = { name: 'web', script: process.execPath, interpreter: 'node', health: {}, ports: [] };
		const supervisor = Object.assign(new EventEmitter(), {
			rows: () => [],
			identities: () => [],
			readiness: () => [],
			changes: () => ({ added: [], removed: [] }),
			nextReleases: async () => ({}),
			replace: async () => {
				write('two.js');
				await local.preflight({ service: 'http_workers', only: null, dryRun: true, putBack: null });
				return { outcome: 'back', before: [], after: [], wanted: 0, oldGone: true, cutOff: 0, reason: null };
			},
		});
		const local = createLocalNode({
			supervisor,
			started: Promise.resolve(),
			standing: new EventEmitter(),
			boot: () => 1,
			appsOf: () => [app],
			configuration,
		} as unknown as LocalNodeParts);
		const spec = { id: 'r1', type: 'restart_service', service: 'http_workers', app: null } as unknown as RolloutSpec;
		const step = { spec, only: null, attempt: 1, before, recovered: false, putBack: null };
		await local.execute({ ...step, onProgress: () => undefined });
		assert.equal(kept(), 'one.js');
	});
});

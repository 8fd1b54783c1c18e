import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openRecordLog } from '../../../src/fleet/shell/record-log.js';

const writer = fileURLToPath(new URL('../../support/rollout/record-writer.js', import.meta.url));

describe('records under SIGKILL', () => {
	let folder: string;
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), 'rc-kill-'));
	});
	afterEach(() => rmSync(folder, { recursive: true, force: true }));

	it('what was acknowledged is there after each kill, whenever it comes', async () => {
		const file = join(folder, 'records.log');
		for (const enough of [3, 40, 49, 120]) {
			const child = spawn(process.execPath, [writer, file], { stdio: ['ignore', 'pipe', 'inherit'] });
			let said = '';
			child.stdout.on('data', (data: Buffer) => {
				said += data.toString();
				if (said.split('\n').length > enough) child.kill('SIGKILL');
			});
			await once(child, 'close');
			const acknowledged = Number(said.trim().split('\n').at(-1));
			const log = await openRecordLog(file);
			const latest = Math.max(
				...log.recovered.map((entry) => {
					const { n, all } = entry as { n?: number; all?: number };
					return n ?? all ?? -1;
				}),
			);
			assert.ok(latest >= acknowledged, `${acknowledged} was acknowledged, ${latest} is the latest on disk`);
			assert.equal(log.damage?.forgotten ?? false, false);
			await log.rewrite([]);
			await log.close();
		}
	});
});

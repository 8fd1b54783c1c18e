/**
 * What a command costs beside a bare `node -e 0`: help and status, the latter against a daemon of pasteboard, found by
 * --socket and by a configuration as `init` writes it, and as others write one. They take turns, so that what else the
 * machine does falls on all of them; the median of each counts. Prints the ratios; exits 1 beyond those that must hold.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configurationTemplate } from '../../src/config/publish/template.js';
import { startFakeDaemon } from '../support/cli/fake-daemon.js';

const rounds = 21;
const mainScript = fileURLToPath(new URL('../../src/main.js', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'rc-bench-'));
const configFile = join(folder, 'rollcall.yaml');
writeFileSync(configFile, configurationTemplate({ name: 'alpha', runtimeDir: folder }), { mode: 0o600 });
const socketPath = join(folder, 'admin.sock');
const blockFile = join(folder, 'block.yaml');
const block = `node:\n  name: alpha\noperations_api:\n  socket:\n    path: ${socketPath}\n    mode: "0660"\n`;
writeFileSync(blockFile, block, { mode: 0o600 });
const daemon = await startFakeDaemon({ path: socketPath });
daemon.operations['cluster_status'] = () => ({ body: { node: 'alpha', boot: 1, coordinator: null, nodes: [] } });
daemon.operations['list_workers'] = () => ({ body: [] });
daemon.operations['list_rollouts'] = () => ({ body: [] });
daemon.pages['/readyz'] = { body: { ready: true, reasons: [], notes: [], apps: [] } };

const commands = [
	{ name: 'node -e 0', words: ['-e', '0'], ratioMax: 1 },
	{ name: 'rollcall --help', words: [mainScript, '--help'], ratioMax: 1.5 },
	{ name: 'rollcall status --socket', words: [mainScript, 'status', '--socket', socketPath], ratioMax: 2.5 },
	{ name: 'rollcall status --config', words: [mainScript, 'status', '--config', configFile], ratioMax: 2.5 },
	{ name: 'the same, in blocks', words: [mainScript, 'status', '--config', blockFile], ratioMax: 2.5 },
];

async function msOf(words: readonly string[]): Promise<number> {
	const began = performance.now();
	const [code] = (await once(spawn(process.execPath, words, { stdio: 'ignore' }), 'exit')) as [number];
	if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}`);
	return performance.now() - began;
}

try {
	const runs = commands.map((): number[] => []);
	for (let round = 0; round < rounds; round += 1) {
		for (const [index, { words }] of commands.entries()) runs[index]?.push(await msOf(words));
	}
	const medians = runs.map((times) => times.sort((one, other) => one - other)[Math.floor(rounds / 2)] ?? 0);
	const [bare = 1] = medians;
	process.stdout.write(`median of ${rounds} runs each\n`);
	for (const [index, { name, ratioMax }] of commands.entries()) {
		const ms = medians[index] ?? 0;
		const ratio = ms / bare;
		if (ratio > ratioMax) process.exitCode = 1;
		process.stdout.write(`${name}: ${ms.toFixed(0)} ms, ${ratio.toFixed(2)} x (at most ${ratioMax})\n`);
	}
} finally {
	await daemon.close();
	rmSync(folder, { recursive: true });
}

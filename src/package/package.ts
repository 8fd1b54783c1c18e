import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildDebian } from './debian.js';
import { buildTarball } from './tarball.js';
import { readInventory } from './inventory.js';
import { stagePayload } from './payload.js';

const repository = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '');
/** Date of the files in a package when neither SOURCE_DATE_EPOCH nor git says one: 2026-01-01. */
const epochDefaultSeconds = 1_767_225_600;

const { values } = parseArgs({ options: { version: { type: 'string' }, output: { type: 'string' } } });
const version = values.version ?? readVersion();
const output = values.output ?? join(repository, 'dist/package');
const epochSeconds = readEpoch();
const folder = mkdtempSync(join(tmpdir(), 'rollcall-package-'));
try {
	mkdirSync(output, { recursive: true });
	const payload = join(folder, 'payload');
	stagePayload(repository, payload, version, readInventory(repository));
	const context = { repository, payload, version, output, epochSeconds, scratch: folder };
	for (const path of [buildDebian(context), buildTarball(context)]) process.stdout.write(`${path}\n`);
} finally {
	rmSync(folder, { recursive: true, force: true });
}

function readVersion(): string {
	return (JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string }).version;
}

/** The one date that all files of a package get, so that two builds of one commit are the same bytes. */
function readEpoch(): number {
	const given = process.env['SOURCE_DATE_EPOCH'];
	if (given !== undefined) {
		if (!/^\d{1,10}$/.test(given)) throw new Error(`SOURCE_DATE_EPOCH must be whole seconds since 1970, not ${given}.`);
		return Number(given);
	}
	try {
		return Number(
			execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: repository, encoding: 'utf8', stdio: 'pipe' }),
		);
	} catch {
		return epochDefaultSeconds;
	}
}

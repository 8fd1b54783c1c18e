/** What lies in the state folder before the daemon made that folder its own is looked at before it is used. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { openRecordLog } from '../../../src/fleet/shell/record-log.js';
import { acquireLock } from '../../../src/system/files/process-lock.js';
import { openAccess } from '../../../src/server/access/access.js';
import { RotatedFile } from '../../../src/system/files/rotated-file.js';
import { KeptReleases } from '../../../src/workers/releases/kept-releases.js';
import { SupervisorRecords } from '../../../src/workers/pool/worker-records.js';

const content = 'precious to somebody else\n';
let folder: string;
let state: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'rc-plant-'));
	state = join(folder, 'state');
	mkdirSync(state, { mode: 0o700 });
	writeFileSync(join(folder, 'victim'), content);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const plants: Record<string, (path: string) => void> = {
	'a link': (path) => symlinkSync(join(folder, 'victim'), path),
	'a link to nothing': (path) => symlinkSync(join(folder, 'made'), path),
	'a pipe': (path) => execFileSync('mkfifo', [path]),
	'a folder': (path) => mkdirSync(path),
};
const access = () => openAccess({ stateDir: state, admin: { username: 'admin', password: 'admin-password-1' } });
const opens: Record<string, (path: string) => Promise<unknown>> = {
	lock: (path) => acquireLock(path),
	'records.log': (path) => openRecordLog(path),
	'workers.json': async (path) => {
		const { damage } = new SupervisorRecords(path);
		if (damage !== null) throw new Error(damage);
	},
	'releases.json': async (path) => {
		const { damage } = new KeptReleases(path);
		if (damage !== null) throw new Error(damage);
	},
	'users.json': access,
	'token.key': access,
	'tokens.json': access,
	'audit.log': async (path) => new RotatedFile(path, { bytesMax: 1_024, keep: 1 }).append('a line'),
};

for (const [file, open] of Object.entries(opens)) {
	test(`a link, a pipe or a folder in the place of ${file} is refused, and what it points at is left alone`, async () => {
		for (const [what, plant] of Object.entries(plants)) {
			const path = join(state, file);
			plant(path);
			await assert.rejects(open(path), (error: Error) => error.message.includes(path), what);
			assert.equal(readFileSync(join(folder, 'victim'), 'utf8'), content, what);
			assert.deepEqual(readdirSync(folder).sort(), ['state', 'victim'], what);
			rmSync(state, { recursive: true });
			mkdirSync(state, { mode: 0o700 });
		}
	});
}

test('a damaged memory of workers is told without a word of it', () => {
	const path = join(state, 'workers.json');
	writeFileSync(path, 'canary');
	assert.equal(new SupervisorRecords(path).damage, `${path} is no JSON`);
});

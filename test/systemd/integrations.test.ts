/** The programs that read what config/integrations has find no fault in it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { repository } from '../support/hosts/hosts.js';

const run = promisify(execFile);
const source = join(repository, 'config/integrations');
let folder: string;
before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'rc-fit-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Each check: the program, given the file; and what in the file, changed, it must refuse. */
const checks: [file: string, wrong: [string, string], check: (path: string) => Promise<unknown>][] = [
	['haproxy.cfg', ['balance roundrobin', 'balance roundrobbin'], (path) => run('haproxy', ['-c', '-f', path])],
	['nginx.conf', ['keepalive 32;', 'keepalive;'], nginx],
	['systemd/rollcall-check.service', ['Type=oneshot', 'Tipe=oneshot'], systemd],
	['systemd/rollcall-check.timer', ['OnCalendar=*-*-* 03:30:00', 'OnCalendar=nightly-ish'], systemd],
];
for (const [file, [good, bad], check] of checks) {
	test(`${file} is taken by its program, and a fault in it is not`, async () => {
		const text = await readFile(join(source, file), 'utf8');
		assert.ok(text.includes(good));
		await check(join(source, file));
		const broken = join(folder, file.replace('systemd/', ''));
		await writeFile(broken, text.replace(good, bad));
		await assert.rejects(check(broken));
	});
}

async function nginx(path: string): Promise<void> {
	const main = join(folder, 'main.conf');
	await writeFile(
		main,
		`pid ${folder}/pid;\nerror_log stderr;\nevents {}\nhttp {\n\taccess_log off;\n\tinclude ${path};\n}\n`,
	);
	await run('nginx', ['-t', '-c', main]);
}

/** verify exits with 0 on a key that it does not know: what counts is that it is silent. */
async function systemd(path: string): Promise<void> {
	const units = path.endsWith('.timer') ? [path, join(source, 'systemd/rollcall-check.service')] : [path];
	const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', ...units]);
	assert.equal(`${stdout}${stderr}`, '');
}

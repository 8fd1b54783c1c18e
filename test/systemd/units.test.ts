import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('../../../systemd/', import.meta.url));
const services = [
	{ unit: 'rollcall.service', exposureMax: 20 },
	{ unit: 'rollcall-workers@.service', exposureMax: 40 },
];

for (const { unit, exposureMax } of services) {
	test(`${unit} has an exposure of at most ${exposureMax / 10}`, async (t) => {
		const { stdout } = await run('systemd-analyze', [
			...['security', '--offline=true', `--threshold=${exposureMax}`, '--no-pager'],
			`${folder}${unit}`,
		]);
		const [, level = ''] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout) ?? [];
		t.diagnostic(`exposure ${level} (at most ${(exposureMax / 10).toFixed(1)})`);
		assert.ok(Number(level) > 0 && Number(level) <= exposureMax / 10, stdout);
	});
}

for (const unit of [...services.map((service) => service.unit), 'rollcall.socket']) {
	test(`systemd finds nothing to say about ${unit}`, async () => {
		// verify exits with 0 on a key that it does not know: what counts is that it is silent.
		const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', `${folder}${unit}`]);
		assert.equal(`${stdout}${stderr}`, '');
	});
}

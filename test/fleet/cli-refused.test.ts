import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { resultShapes } from '../../src/cli/output/json-schemas.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, webApp } from '../support/fleet/nodes.js';

let fleet: RealFleet;
let node: RealNode;

before(async () => {
	fleet = await makeFleet([{ name: 'alpha' }]);
	[node] = fleet.nodes as [RealNode];
	await fleet.start();
});
after(() => fleet.end());

test('a release that throws at boot is refused (6): the same workers go on, and what it said is told', async () => {
	const pids = (await node.workers()).map(({ pid }) => pid);
	const release = join(node.folder, 'bad');
	mkdirSync(release);
	writeFileSync(join(release, 'app.cjs'), "throw new Error('no database here');\n");
	node.configure({ http_workers: [{ ...webApp(node.ports.app, 'alpha'), script: join(release, 'app.cjs') }] });
	const words = ['restart_service', 'service=http_workers', '--config', node.configFile, '--json'];
	const { code, stdout, stderr } = await rollcall(words);
	assert.equal(code, 6, stderr);
	const rollout = resultShapes.restart_service.parse(JSON.parse(stdout));
	assert.equal(rollout.state, 'halted');
	const [row] = rollout.nodes;
	assert.equal(row?.state, 'refused', row?.reason ?? '');
	assert.match(row.reason ?? '', /no database here/);
	assert.deepEqual(
		(await node.workers()).map(({ pid }) => pid),
		pids,
	);
	const status = await rollcall(['status', '--config', node.configFile, '--json']);
	assert.equal(status.code, 0);
	const { wrong, node: own } = resultShapes.status.parse(JSON.parse(status.stdout));
	assert.equal(own.ready, true);
	assert.ok(wrong.some((line) => line.includes(rollout.id.slice(0, 8)) && line.includes('halted')));
});

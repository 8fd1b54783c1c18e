import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { TestFleet } from '../support/fleet.js';

describe('a fleet of three', () => {
	let fleet: TestFleet | undefined;
	afterEach(async () => {
		await fleet?.close();
		fleet = undefined;
	});

	it('links up, and each shows all', async () => {
		fleet = await TestFleet.make(['alpha', 'beta', 'gamma']);
		await fleet.start();
		for (const { name } of fleet.nodes) {
			const status = fleet.fleet(name).clusterStatus();
			assert.equal(status.boot, 1);
			assert.deepEqual(
				status.nodes.map((node) => [node.name, node.link, node.boot]),
				fleet.nodes.map((node) => [node.name, node.name === name ? 'self' : 'up', 1]),
			);
		}
	});
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '../../../src/rollout/targets/proof.js';
import type { NodeRecord, StepResult } from '../../../src/rollout/types.js';
import type { ProvenWorker } from '../../../src/workers/types.js';
import { specFor } from '../../support/rollout/spec.js';

const spec = specFor(['alpha']);
const before = { boot: 1, workers: [{ id: 'web-1', pid: 10, started: 1 }], links: [], configHash: null };
const worker = (ports?: number[]): ProvenWorker => ({
	id: 'web-2',
	pid: 20,
	started: 2,
	proven: true,
	joined: true,
	...(ports === undefined ? {} : { ports }),
});

function verdictOn(ports: number[] | undefined, required: StepResult['required']): ReturnType<typeof judge> {
	const after = { ...before, workers: [worker(ports)] };
	const facts = { before, after, wanted: 1, oldGone: true, cutOff: 0, reason: null, required };
	const record: Pick<NodeRecord, 'before' | 'result'> = { before, result: { outcome: 'back', ...facts } };
	return judge(spec, 'alpha', record);
}

test('a node is back only if every worker was proven on every port that its app needs', () => {
	const back = { state: 'back', reason: null };
	assert.deepEqual(verdictOn([8080, 9100], [{ app: 'web', ports: [8080, 9100] }]), back);
	assert.deepEqual(verdictOn([9100], [{ app: 'web', ports: [8080, 9100] }]), {
		state: 'failed',
		reason: 'worker web-2 was not proven on port 8080',
	});
	assert.equal(verdictOn(undefined, [{ app: 'web', ports: [8080] }]).state, 'failed');
	assert.deepEqual(verdictOn([9100], [{ app: 'web-two', ports: [8080] }]), back, 'another app has its own ports');
	assert.deepEqual(verdictOn(undefined, undefined), back, 'a node of an earlier version says nothing of ports');
});

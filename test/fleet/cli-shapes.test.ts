import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { z } from 'zod';
import { resultShapes } from '../../src/cli/output/json-schemas.js';
import { operations } from '../../src/operations/table.js';
import { documentOf } from '../support/cli/command-document.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, webApp, whoApp } from '../support/fleet/nodes.js';

type Shape = keyof typeof resultShapes;

let fleet: RealFleet;
let node: RealNode;
/** While it is there new workers do not prove themselves, so that a rollout lasts. */
let holdFile: string;
before(async () => {
	fleet = await makeFleet([{ name: 'alpha' }]);
	[node] = fleet.nodes as [RealNode];
	holdFile = join(node.folder, 'hold');
	configure({});
	await fleet.start();
});
after(() => fleet.end());

const configure = (changes: Record<string, unknown>) => {
	const web = webApp(node.ports.app, 'alpha');
	const env = { PORT: String(node.ports.app), HOLD_FILE: holdFile };
	const health = { path: '/healthz', soak: '100ms', deadline: '2m' };
	node.configure({ http_workers: [{ ...web, script: whoApp, env, health, ...changes }] });
};
const run = (words: readonly string[]) => rollcall([...words, '--json', '--config', node.configFile]);
const roll = ['restart_service', 'service=http_workers', 'replicated=true'];

async function prints(words: readonly string[], shape: Shape, exit = 0): Promise<unknown> {
	const result = await run(words);
	assert.equal(result.code, exit, `${words.join(' ')}: ${result.stdout}${result.stderr}`);
	return documentOf(result, resultShapes[shape]);
}

test('what each command prints about a real daemon has its published shape, and no key beside', async () => {
	await prints(['status'], 'status');
	await prints(['status', '--node', 'all'], 'status');
	await prints(['status', '--check'], 'status');
	await prints(['workers'], 'workers');
	await prints(['node', 'drain'], 'node drain');
	await prints(['status', '--check', '--node', 'alpha'], 'status', 1);
	await prints(['node', 'ready'], 'node ready');
	await prints(['validate'], 'validate');
	await prints(['rollout', 'plan'], 'rollout plan');
	await prints([...roll, 'dry_run=true'], 'restart_service dry_run=true');
	writeFileSync(holdFile, '');
	await prints([...roll, '--detach'], 'restart_service --detach');
	await prints(['rollout', 'pause'], 'rollout pause');
	await prints(['status'], 'status');
	await prints(['rollout', 'resume', '--detach'], 'rollout resume');
	rmSync(holdFile);
	await prints(['rollout', 'follow'], 'rollout follow');
	await prints(['app', 'restart', 'web', '--detach'], 'app restart --detach');
	await prints(['rollout', 'follow'], 'rollout follow');
	await prints(['app', 'restart', 'web', '--node', 'alpha'], 'app restart');
});

test('so does a rollout that halts, goes on, halts again and is aborted', async () => {
	const bad = join(node.folder, 'bad');
	mkdirSync(bad);
	writeFileSync(join(bad, 'app.cjs'), "throw new Error('no');\n");
	configure({ script: join(bad, 'app.cjs') });
	await prints(roll, 'restart_service', 6);
	await prints(['rollout', 'resume'], 'rollout resume', 6);
	await prints(['rollout', 'follow'], 'rollout follow', 6);
	await prints(['rollout', 'status'], 'rollout status');
	await prints(['status'], 'status');
	await prints(['rollout', 'abort'], 'rollout abort');
	await prints(['rollout', 'history'], 'rollout history');
	configure({});
});

test('what each operation answers through the command line is what /openapi.json says', async () => {
	const user = join(node.folder, 'user.json');
	writeFileSync(user, '{"username":"ann","password":"correct-horse"}\n', { mode: 0o600 });
	const { id } = (await prints(['rollout', 'status'], 'rollout status')) as { id: string };
	const wordsOf: Readonly<Record<string, string[]>> = {
		admit_node: ['node=alpha'],
		set_status: ['id=availability', 'status=Available'],
		clear_status: ['id=availability'],
		get_job: [`id=${id}`],
		get_rollout: [`id=${id}`],
		add_user: ['--fields', user, 'role=viewer'],
		alter_user: ['username=ann', 'active=true'],
		create_authentication_tokens: ['--fields', user],
		drop_user: ['username=ann'],
		restart_service: ['service=clustering', '--detach'],
		start_rollout: ['--detach'],
		create_token: ['name=ci', 'role=operator'],
		drop_token: ['name=ci'],
	};
	/** Each in its order, but for what is shown above or ends what the others need. */
	const apart = ['undo_rollout', 'pause_rollout', 'resume_rollout', 'abort_rollout', 'restart', 'drop_user'];
	const later = ['create_authentication_tokens', 'drop_user'];
	const names = [
		...operations.map(({ name }) => name).filter((name) => ![...apart, ...later].includes(name)),
		...later,
	];
	for (const name of names) {
		if (name === 'refresh_operation_token') continue;
		const result = await run([name, ...(wordsOf[name] ?? [])]);
		assert.equal(result.code, 0, `${name}: ${result.stdout}${result.stderr}`);
		const answer = operations.find((row) => row.name === name)?.answer ?? {};
		documentOf(result, z.fromJSONSchema(answer as z.core.JSONSchema.JSONSchema));
	}
	// Only its holder has the refresh token that this wants.
	assert.equal((await run(['refresh_operation_token'])).code, 5);
});

test('restart answers before it is done, and stop ends what it started', async () => {
	const result = await run(['restart']);
	assert.equal(result.code, 0, result.stderr);
	documentOf(result, z.strictObject({ message: z.string() }));
	const { stopped } = (await prints(['stop'], 'stop')) as { stopped: unknown[] };
	assert.ok(stopped.length > 0);
	assert.equal((await run(['status'])).code, 4);
});

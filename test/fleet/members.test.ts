import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RolloutView } from '../../src/rollout/types.js';
import {
	type Answer,
	askInTime,
	type CommandResult,
	isOver,
	makeFleet,
	type RealFleet,
	type RealNode,
	rollcall,
	waitFor,
	webApp,
} from '../support/fleet/nodes.js';
import { freePorts } from '../support/system/ports.js';

/** Where nodes were slower than the two seconds that an answer may take: that is the machine's, not the fleet's. */
const tooSlow =
	/in time|too slow|just been linked|not heard|not linked|may not vote|has other members|coordinate;|coordinate,/;
const three = ['alpha', 'beta', 'gamma'];
const four = [...three, 'delta'];

interface Row {
	name: string;
	link: string;
}

/** Each test leaves a whole fleet of the members that the next one starts with. */
describe('members come, leave, move and are replaced, and what halts names its way out', () => {
	let fleet: RealFleet;
	let alpha: RealNode;
	let beta: RealNode;
	let gamma: RealNode;
	let delta: RealNode;
	const moved = new Map<RealNode, number>();
	const names = new Map<RealNode, string>();
	const nameOf = (node: RealNode): string => names.get(node) ?? node.name;
	const portOf = (node: RealNode): number => moved.get(node) ?? node.ports.cluster;

	/** The node's file with these members, as `nameOf` and `portOf` say them. */
	const configure = (node: RealNode, members: readonly string[]): void => {
		const peers = fleet.nodes
			.filter((one) => members.includes(nameOf(one)))
			.map((one) => ({ name: nameOf(one), url: `ws://127.0.0.1:${portOf(one)}` }));
		node.configure({
			node: { name: nameOf(node) },
			http_workers: [{ ...webApp(node.ports.app, node.name), instances: 1 }],
			rollout: { lease: '2s' },
			cluster: {
				listen: { host: '127.0.0.1', port: portOf(node) },
				secret_file: join(fleet.folder, 'secret'),
				peers,
			},
		});
	};
	const configureAll = (members: readonly string[]): void => {
		for (const node of fleet.nodes) configure(node, members);
	};
	const answering = (node: RealNode): Promise<void> =>
		waitFor(
			`${node.name} to answer`,
			async () => (await node.call('cluster_status').catch(() => null))?.status === 200,
		);
	/** Resolves once each of these hears each. */
	const whole = async (members: readonly string[]): Promise<void> => {
		const nodes = fleet.nodes.filter((node) => members.includes(nameOf(node)));
		await waitFor('a whole fleet', async () => {
			const rows = await Promise.all(
				nodes.map(async (node) => (await node.call<{ nodes: Row[] }>('cluster_status')).json),
			);
			return rows.every(({ nodes: all }) => all.length === members.length && all.every(({ link }) => link !== 'down'));
		});
	};
	const ask = (node: RealNode, service: string): Promise<Answer> => askInTime(node, { service }, tooSlow);
	const started = async (node: RealNode, service = 'clustering_config'): Promise<string> => {
		const { status, json } = await ask(node, service);
		assert.equal(status, 200, JSON.stringify(json));
		return String(json['job_id']);
	};
	const change = async (node: RealNode): Promise<RolloutView> => node.rollout(await started(node));
	/** Each of these takes part in a change that changes nothing: the fleet has these members, and all of them agree. */
	const agree = async (node: RealNode, members: readonly string[]): Promise<void> => {
		await whole(members);
		const view = await change(node);
		const back = view.nodes.filter((one) => one.state === 'back').map((one) => one.node);
		assert.deepEqual([view.state, back.sort()], ['completed', [...members].sort()], view.reason ?? '');
	};
	/** An operator's word, repeated until a coordinator was there to do it. */
	const say = async (node: RealNode, word: string, id: string): Promise<void> =>
		waitFor(`${word} on ${node.name}`, async () => (await node.call(`${word}_rollout`, { id })).status === 200);
	const command = (node: RealNode, ...words: string[]): Promise<CommandResult> =>
		rollcall([...words, '--config', node.configFile]);
	const startAgain = async (node: RealNode): Promise<void> => {
		node.start();
		await answering(node);
	};

	before(async () => {
		fleet = await makeFleet(four.map((name) => ({ name })));
		[alpha, beta, gamma, delta] = four.map((name) => fleet.node(name)) as [RealNode, RealNode, RealNode, RealNode];
		configureAll(three);
		for (const node of [alpha, beta, gamma]) node.start();
		await Promise.all([alpha, beta, gamma].map((node) => node.ready()));
		await whole(three);
	});
	after(() => fleet.end());

	test('a change that halts, its coordinator killed, and aborted half-way: each text names the next command, and they lead out', async () => {
		configureAll(four);
		delta.start();
		await delta.ready();
		// The same port at another address: whether that can be had only applying it tells.
		const good = readFileSync(gamma.configFile, 'utf8');
		writeFileSync(gamma.configFile, good.replace(/listen:\n( +)host: 127\.0\.0\.1/, 'listen:\n$1host: 127.0.0.2'));
		const taken = createServer().listen(gamma.ports.cluster, '127.0.0.2');
		await once(taken, 'listening');
		let id: string;
		try {
			id = await started(alpha);
			const halted = await alpha.rollout(id);
			const old = 'alpha, beta, gamma';
			assert.match(halted.reason ?? '', /^gamma refused: .* is taken by another process/);
			assert.ok(
				halted.reason?.includes(
					`new members (alpha, beta, delta, gamma) on beta, old members (${old}) on alpha, gamma`,
				),
				halted.reason ?? '',
			);
			const roll = await command(alpha, 'rollout', 'start');
			assert.deepEqual([roll.code, /rollout status/.test(roll.stderr), /follow/.test(roll.stderr)], [8, true, false]);
		} finally {
			taken.close();
		}
		await waitFor('delta to hear of it', async () => (await delta.call('get_rollout', { id })).status === 200);
		const joiner = await delta.call('restart_service', { service: 'http_workers', replicated: true });
		assert.match(String(joiner.json['error']), /takes delta in or out, has not ended; ask alpha, beta, gamma/);
		await alpha.kill();
		await waitFor('the refusal for want of alpha', async () => {
			const { json } = await beta.call('restart_service', { service: 'clustering_config', replicated: true });
			return /alpha is not linked, .*nothing was started/.test(String(json['error']));
		});
		await startAgain(alpha);
		await say(beta, 'abort', id);
		assert.match(
			(await beta.rollout(id)).reason ?? '',
			/to go forward, run on (alpha, )?gamma: rollcall restart_service service=clustering_config/,
		);
		await waitFor('the refusal that names the others', async () => {
			const { json } = await gamma.call('restart_service', { service: 'http_workers', replicated: true });
			return /beta has other members.*run on each: rollcall restart_service/.test(String(json['error']));
		});
		writeFileSync(gamma.configFile, good);
		for (const node of [alpha, gamma])
			assert.equal((await command(node, 'restart_service', 'service=clustering_config')).code, 0);
		await agree(gamma, four);
	});

	test('amid a roll a change is refused with what is in its way, and begins once that has ended', async () => {
		const id = await started(alpha, 'http_workers');
		await say(alpha, 'pause', id);
		const { code, stderr } = await command(beta, 'restart_service', 'service=clustering_config', 'replicated=true');
		assert.deepEqual([code, stderr.includes(id)], [8, true]);
		assert.match(stderr, /is paused; rollcall rollout resume or abort it \(rollcall rollout abort\)/);
		await say(beta, 'resume', id);
		assert.equal((await beta.rollout(id)).state, 'completed');
		assert.equal((await change(beta)).state, 'completed');
	});

	test('two nodes that change their ports at once are refused, a taken port is too, one alone moves', async () => {
		const [one = 0, other = 0] = await freePorts(2);
		moved.set(beta, one).set(gamma, other);
		configureAll(four);
		assert.match(
			(await change(alpha)).reason ?? '',
			/beta, gamma change cluster\.listen at once.*one node's address at a time/,
		);
		moved.delete(gamma);
		configureAll(four);
		const taken = createServer().listen(one, '127.0.0.1');
		await once(taken, 'listening');
		try {
			assert.match(
				(await change(alpha)).reason ?? '',
				/^beta: The address 127\.0\.0\.1:\d+ .* is taken by another process/,
			);
		} finally {
			taken.close();
			await once(taken, 'close');
		}
		assert.equal((await change(alpha)).state, 'completed');
		await whole(four);
	});

	test('a dead node is taken out, the coordinator killed as it begins; started again it says what it is', async () => {
		await delta.kill();
		for (const node of [alpha, beta, gamma]) configure(node, three);
		const id = await started(alpha);
		await alpha.kill();
		await startAgain(alpha);
		const view = await beta.rollout(id, isOver);
		assert.deepEqual([view.state, view.reason], ['completed', 'delta did not hear of it; stop it if it still runs']);
		await agree(beta, three);
		for (const _ of ['started', 'started once more']) {
			await startAgain(delta);
			await waitFor('delta to know', async () => {
				const { stdout } = await command(delta, 'status', '--json');
				return (JSON.parse(stdout) as { wrong: string[] }).wrong.some((line) => /^delta is no member in/.test(line));
			});
			const roll = await command(delta, 'rollout', 'start');
			assert.deepEqual([roll.code, /delta is no member in .*; stop it, or add it to/.test(roll.stderr)], [1, true]);
			await delta.kill('SIGTERM');
		}
		await startAgain(delta);
		await delta.ready();
		assert.equal((await command(delta, 'restart_service', 'service=http_workers')).code, 0);
	});

	test('a fresh one of the same name, elsewhere, takes the place of the dead one', async () => {
		await delta.stop();
		rmSync(delta.stateDir, { recursive: true });
		moved.set(delta, (await freePorts(1))[0] ?? 0);
		configureAll(four);
		await startAgain(delta);
		assert.equal((await change(alpha)).state, 'completed');
		await agree(delta, four);
	});

	test('a rename is refused with the way, and that way leads there', async () => {
		names.set(gamma, 'omega');
		const renamed = ['alpha', 'beta', 'omega', 'delta'];
		configureAll(renamed);
		assert.match(
			(await change(alpha)).reason ?? '',
			/gamma: .*expected gamma, as this node runs, got omega.*take gamma out of cluster\.peers of all others.*give gamma the new name and a certificate.*add the new name to cluster\.peers of all/,
		);
		const others = ['alpha', 'beta', 'delta'];
		for (const node of [alpha, beta, delta]) configure(node, others);
		await gamma.kill();
		assert.equal((await change(alpha)).state, 'completed');
		configureAll(renamed);
		await startAgain(gamma);
		assert.equal((await change(alpha)).state, 'completed');
		await agree(gamma, renamed);
	});
});

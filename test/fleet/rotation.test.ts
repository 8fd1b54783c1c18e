/** A fleet changes to a new certificate authority by the words of the manual, and no wrong order gets anywhere. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { authoritiesOf } from '../../src/config/checks/authorities.js';
import { makeFleet, type RealFleet, type RealNode, waitFor } from '../support/fleet/nodes.js';
import { commandBlocks, HomeShell, type Ran, sectionOf } from '../support/pages/home-shell.js';

const names = ['alpha', 'beta', 'gamma'];
/** The machine was too slow for the two seconds that an answer may take: asked again. */
const tooSlow = /did not check its file in time|answers were too slow|did not answer|is not heard/;

interface Row {
	name: string;
	link: string;
	reason: string | null;
	authorities: { accepts: { id: string; name: string }[]; presents: string[] } | null;
}
describe('a new certificate authority', () => {
	let fleet: RealFleet;
	let shell: HomeShell;
	const node = (name: string): RealNode => fleet.node(name);
	const home = (...path: string[]): string => join(fleet.folder, 'home', ...path);
	const tls = (name: string, file = ''): string => join(node(name).folder, 'tls', file);

	/** One line of the manual, in a shell at home. */
	const sh = (line: string): Promise<Ran> => shell.run(line);
	const takesUp = async (line: string): Promise<Ran> => {
		let ran = await sh(line);
		await waitFor('an answer in time', async () => {
			if (!tooSlow.test(ran.stderr + ran.stdout)) return true;
			ran = await sh(line);
			return false;
		});
		return ran;
	};
	const done = async (lines: readonly string[]): Promise<Ran> => {
		let last: Ran = { code: 0, stdout: '', stderr: '' };
		for (const line of lines) {
			last = await takesUp(line);
			assert.equal(last.code, 0, `${line}: ${last.stdout}${last.stderr}`);
		}
		return last;
	};
	const refused = async (line: string, expected: RegExp, exit: number): Promise<void> => {
		const before = await facts();
		const ran = await takesUp(line);
		assert.match(ran.stdout + ran.stderr, expected, line);
		assert.equal(ran.code, exit, line);
		assert.deepEqual(await facts(), before, `${line} changed something`);
	};
	const rows = async (name: string): Promise<Row[]> =>
		(await node(name).call<{ nodes: Row[] }>('cluster_status')).json.nodes;
	/** What a wrong order must leave as it is: the folder of the authority, every link, and what each node accepts and presents. */
	const facts = async (): Promise<unknown> => ({
		folder: ['ca.pem', 'ca.key'].map((file) => readFileSync(home('fleet-ca', file), 'utf8')),
		links: await Promise.all(
			names.map(async (name) => {
				const { json } = await node(name).call<{ replication: { node: string; since: number | null }[] }>(
					'system_information',
					{ attributes: ['replication'] },
				);
				return json.replication.map(({ node: peer, since }) => [peer, since]);
			}),
		),
		authorities: (await rows('alpha')).map(({ authorities }) => authorities),
	});
	/** What any node's status says of the rotation. */
	const said = async (name: string, expected: RegExp | null): Promise<void> => {
		let last: string[] = [];
		const look = async (): Promise<boolean> => {
			const { stdout } = await sh(`ssh ${name} rollcall status --json`);
			last = (JSON.parse(stdout) as { wrong: string[] }).wrong.filter((line) => /authority/.test(line));
			return expected === null ? last.length === 0 : last.some((line) => expected.test(line));
		};
		await waitFor(`${name} to say ${String(expected)}`, look, () => JSON.stringify(last));
	};
	const linked = async (): Promise<boolean> =>
		(await Promise.all(names.map((name) => rows(name)))).flat().every(({ link }) => link !== 'down');
	const steps = commandBlocks(sectionOf('operate/certificates', 'A new authority'));
	const step = (number: number): string[] => steps[number - 1] ?? [];
	const rotate = (step(2)[0] ?? '').trim();
	const takeUp = step(1).at(-1) ?? '';
	const takeUpOf = (name: string): string => `ssh ${name} rollcall restart_service service=clustering_config`;
	const putBack = (name: string, ...files: string[]): void => {
		for (const file of files) cpSync(join(fleet.folder, 'old', name, file), tls(name, file));
	};

	before(async () => {
		fleet = await makeFleet(names.map((name) => ({ name })));
		shell = new HomeShell(fleet.folder);
		await done(['rollcall ca init --dir fleet-ca', ...names.map((name) => `rollcall ca issue ${name} --dir fleet-ca`)]);
		for (const one of fleet.nodes) {
			cpSync(home('fleet-ca', one.name), tls(one.name), { recursive: true });
			const listen = { host: '127.0.0.1', port: one.ports.cluster };
			const peers = fleet.nodes.map(({ name, ports }) => ({ name, url: `wss://127.0.0.1:${ports.cluster}` }));
			const files = Object.fromEntries(['ca', 'cert', 'key'].map((file) => [file, tls(one.name, `${file}.pem`)]));
			one.configure({ http_workers: [], cluster: { listen, tls: files, peers } });
		}
		cpSync(home('fleet-ca'), join(fleet.folder, 'old'), { recursive: true });
		await fleet.start();
		await waitFor('the links', linked);
	});
	after(() => fleet.end());

	test('step 1: no node takes a certificate of the new authority before all accept it', async () => {
		assert.equal(steps.length, 4);
		await said('beta', null);
		const begun = await done(step(1).slice(0, 1));
		assert.match(begun.stdout, /^step 1 of 3: every node is to accept the new authority beside the old one/);
		await refused(
			rotate,
			/step 1 of 3: alpha, beta, gamma do not accept Rollcall fleet \w+ yet\. Copy fleet-ca\/ca\.pem/,
			1,
		);
		await done(['for node in alpha beta; do scp fleet-ca/ca.pem $node:/etc/rollcall/tls/; done', takeUp]);
		await said('gamma', /^new authority, step 1 of 3: gamma does not accept Rollcall fleet \w+ yet; bring them/);
		await refused(rotate, /step 1 of 3: gamma does not accept Rollcall fleet \w+ yet\./, 1);
		// Somebody gets at the new key early, and makes a certificate with it.
		mkdirSync(home('early'), { mode: 0o700 });
		const next = readFileSync(home('fleet-ca', 'next.key'), 'utf8');
		writeFileSync(home('early', 'ca.key'), next, { mode: 0o600 });
		writeFileSync(home('early', 'ca.pem'), next.slice(next.indexOf('-----BEGIN CERTIFICATE')));
		await done([
			'rollcall ca issue alpha --dir early',
			'scp early/alpha/cert.pem early/alpha/key.pem alpha:/etc/rollcall/tls/',
		]);
		const tooEarly =
			/alpha: the new certificate .*cert\.pem is of an authority that gamma does not accept yet; put the/;
		await refused(takeUp, tooEarly, 6);
		await refused(takeUpOf('alpha'), tooEarly, 6);
		putBack('alpha', 'cert.pem', 'key.pem');
		await done(step(1).slice(1));
		await said('alpha', /^new authority, step 2 of 3: alpha, beta, gamma still present certificates of Rollcall fleet/);
	});

	test('step 2: the old authority stays until each node presents the new one, also over a restart', async () => {
		const [own, , apply = ''] = step(2);
		const issued = await done([own ?? '']);
		assert.match(issued.stdout, /^step 2 of 3: .*\n( {2}\S+\/(alpha|beta|gamma)\/(key|cert|ca)\.pem\n){9}$/);
		const keys = names.map((name) => readFileSync(home('fleet-ca', name, 'key.pem'), 'utf8'));
		await done(['for node in alpha beta; do scp fleet-ca/$node/*.pem $node:/etc/rollcall/tls/; done', apply]);
		const waits = /step 2 of 3: gamma still presents a certificate of Rollcall fleet \w+/;
		await said('beta', waits);
		await refused(rotate, waits, 1);
		assert.deepEqual(
			names.map((name) => readFileSync(home('fleet-ca', name, 'key.pem'), 'utf8')),
			keys,
			'what may have been copied is not made anew',
		);
		const both = readFileSync(tls('alpha', 'ca.pem'), 'utf8');
		writeFileSync(tls('alpha', 'ca.pem'), readFileSync(home('early', 'ca.pem')));
		const cutsOff = /alpha: its new .*ca\.pem does not accept the certificate that gamma presents now; leave the old/;
		await refused(takeUp, cutsOff, 6);
		await refused(takeUpOf('alpha'), cutsOff, 6);
		writeFileSync(tls('alpha', 'ca.pem'), both);
		await node('beta').kill();
		node('beta').start();
		await node('beta').ready();
		await waitFor('the links', linked);
		await said('beta', waits);
		await said('alpha', waits);
		await refused(rotate, waits, 1);
		await done(step(2).slice(1));
		await said('gamma', /step 3 of 3: alpha, beta, gamma still accept Rollcall fleet \w+; bring them/);
	});

	test('step 3: it ends when no node accepts the old authority, and what has stayed behind is told why', async () => {
		await done(step(3).slice(0, 1));
		await refused(`${rotate} --begin`, /step 3 of 3: alpha, beta, gamma still accept Rollcall fleet/, 1);
		await done(step(3).slice(1));
		const [see = '', anew = ''] = step(4);
		const over = await done([see]);
		assert.match(over.stdout, /^no rotation is under way: every node accepts and presents Rollcall fleet \w+ alone/);
		await done([anew]);
		await said('alpha', null);
		const material = { ca: readFileSync(home('fleet-ca', 'ca.pem'), 'utf8'), cert: '' };
		const [only, ...others] = authoritiesOf(material)?.accepts ?? [];
		assert.deepEqual(others, []);
		for (const { authorities } of await rows('beta')) assert.deepEqual(authorities?.presents, [only?.id]);
		// The key of the authority is the one that signs now.
		await done(['rollcall ca issue beta --dir fleet-ca --force']);

		putBack('gamma', 'ca.pem', 'cert.pem', 'key.pem');
		writeFileSync(tls('gamma', 'ca.pem'), `${readFileSync(tls('gamma', 'ca.pem'), 'utf8')}${material.ca}`);
		await node('gamma').kill();
		node('gamma').start();
		const reason = async (name: string, peer: string): Promise<string> =>
			(await rows(name).catch(() => [])).find((row) => row.name === peer)?.reason ?? '';
		const why = /the certificate of gamma is of another authority than those in cluster\.tls\.ca of alpha/;
		await waitFor('both ends to say why', async () => {
			return why.test(await reason('alpha', 'gamma')) && why.test(await reason('gamma', 'alpha'));
		});
		await refused(
			rotate,
			/gamma is not linked \(.*another authority.*\), so what it accepts and presents is not known/,
			1,
		);
		await done(['scp fleet-ca/gamma/*.pem gamma:/etc/rollcall/tls/', takeUpOf('gamma')]);
		await waitFor('the links', linked);
	});
});

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestAuthority } from '../../support/fleet/authority.js';
import { waitFor } from '../../support/fleet/nodes.js';
import { freePorts } from '../../support/system/ports.js';
import type { FileChanges, Host, SceneFleet } from '../fleet.js';
import type { Scene } from '../scene.js';
import { takeUp } from './certificates.js';
import { roll } from './daemons.js';

/** Whose files are wrong, while the operator sits at another node. */
const at: Host = 'gamma';
const plan = 'rollcall rollout plan';

interface Mistake {
	name: string;
	/** The command that the operator sends after the files were brought. */
	line: typeof takeUp | typeof roll;
	/** Makes the mistake. */
	make(fleet: SceneFleet): unknown;
	/** What has to stand in the message: the node, the file or key, and what to do. */
	says: RegExp;
	/** Ends what `make` began beside the files. */
	end?: () => unknown;
	quick?: true;
}

const app = (changes: Record<string, unknown>) => (fleet: SceneFleet) => fleet.write(at, { app: changes });
const top =
	(changes: FileChanges['top'] = {}) =>
	(fleet: SceneFleet) =>
		fleet.write(at, { top: changes });

const text = (change: (good: string) => string) => (fleet: SceneFleet) => {
	const { configFile } = fleet.node(at);
	writeFileSync(configFile, change(readFileSync(configFile, 'utf8')), { mode: 0o600 });
};

/** A certificate of the fleet's own authority, or of another one, in place of the node's; its key too unless it stays. */
const certificate = (of: (fleet: SceneFleet) => Promise<{ cert: string; key: string }>, keepsKey = false) => {
	return async (fleet: SceneFleet): Promise<void> => {
		const { cert, key } = await of(fleet);
		writeFileSync(fleet.tls(at, 'cert.pem'), cert);
		if (!keepsKey) writeFileSync(fleet.tls(at, 'key.pem'), key, { mode: 0o600 });
	};
};

const foreign = async (fleet: SceneFleet) =>
	(await (await TestAuthority.make(fleet.home)).issue(fleet.nameOf(at))).material;

let listener: ChildProcess | null = null;

/** Another program of that host holds the port of an app that is new. */
async function takePort(fleet: SceneFleet): Promise<void> {
	const [port = 0] = await freePorts(1);
	const server = `require('node:net').createServer().listen(${port}, '0.0.0.0', () => console.log('listening'))`;
	const [program = '', ...words] = [...fleet.networks.launcher(at), process.execPath, '-e', server];
	listener = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
	await once(listener.stdout as NonNullable<typeof listener.stdout>, 'data');
	const node = fleet.node(at);
	const script = join(node.folder, 'release', 'server.cjs');
	const good = fleet.webOf(at);
	const { health, drain } = good;
	const api = {
		name: 'api',
		script,
		instances: 1,
		health,
		drain,
		ports: [port],
		env: { PORT: String(port), HOST: '0.0.0.0' },
	};
	fleet.write(at, { top: { http_workers: [good, api] } });
}

async function releasePort(): Promise<void> {
	if (listener?.exitCode !== null || listener.signalCode !== null) return;
	const ended = once(listener, 'exit');
	listener.kill();
	await ended;
}

const mistakes: readonly Mistake[] = [
	{
		name: 'certificate without its key',
		line: takeUp,
		make: certificate((fleet) => fleet.issued(at), true),
		says: /gamma: .*cluster\.tls\.key: expected the private key .*put .*cert\.pem and .*key\.pem: rollcall ca issue gamma/,
	},
	{
		name: 'certificate that has expired',
		line: takeUp,
		make: certificate((fleet) => fleet.issued(at, -1)),
		says: /gamma: .*expired on .*put a new one into .*cert\.pem: rollcall ca issue gamma/,
	},
	{
		name: 'certificate that is valid tomorrow',
		line: takeUp,
		make: certificate((fleet) => fleet.issued(at, 100, 1)),
		says: /gamma: .*cert\.pem.*valid.*(clock|date|put a new one)/,
	},
	{
		name: 'certificate of another node',
		line: takeUp,
		make: certificate((fleet) => fleet.issued('beta')),
		says: /gamma: .*got one of beta; put .*cert\.pem and .*key\.pem: rollcall ca issue gamma/,
	},
	{
		name: 'certificate of another authority',
		line: takeUp,
		make: certificate(foreign),
		says: /gamma: .*one of another authority; put .*cert\.pem and .*key\.pem: rollcall ca issue gamma/,
	},
	{
		name: 'certificate that is not there',
		line: takeUp,
		make: (fleet) => rmSync(fleet.tls(at, 'cert.pem')),
		says: /gamma: .*cert\.pem/,
	},
	{
		name: 'key that others can read',
		line: takeUp,
		make: (fleet) => chmodSync(fleet.tls(at, 'key.pem'), 0o644),
		says: /gamma: .*key\.pem.*chmod/,
	},
	{
		name: 'lists of members that differ',
		line: takeUp,
		make: (fleet) =>
			fleet.write(
				at,
				{},
				fleet.members.filter((name) => name !== 'beta'),
			),
		says: /gamma names other members.*it lacks beta; make cluster\.peers the same/,
	},
	{
		name: 'a member named twice',
		line: takeUp,
		make: text((good) => good.replace(/( {4}- name: beta\n.*\n)/, '$1$1')),
		says: /gamma: .*peers.*beta/,
	},
	{
		name: 'an address that is no address',
		line: takeUp,
		make: text((good) => good.replace(/url: wss:/, 'url: wss;')),
		says: /gamma: .*url: expected/,
	},
	{
		name: 'a slip in the YAML',
		line: roll,
		make: text((good) => good.replace('http_workers:', 'http_workers')),
		says: /gamma: .*rollcall\.yaml:\d+:\d+/,
		quick: true,
	},
	{
		name: 'a key that is unknown',
		line: roll,
		make: top({ http_worker: [] }),
		says: /gamma: .*http_worker\b.*(unknown|http_workers)/,
	},
	{
		name: 'two apps of one name',
		line: roll,
		make: (fleet) => fleet.write(at, { top: { http_workers: [fleet.webOf(at), fleet.webOf(at)] } }),
		says: /gamma: .*http_workers.*web/,
	},
	{
		name: 'script that is not there',
		line: roll,
		make: app({ script: '/nowhere/server.js' }),
		says: /gamma: app web: its script \/nowhere\/server\.js is not there; put the release there first/,
	},
	{
		name: 'interpreter that is not there',
		line: roll,
		make: (fleet) =>
			fleet.write(at, { app: { interpreter: '/nowhere/bun', ports: [fleet.node(at).ports.app], reuse_port: true } }),
		says: /gamma: app web: its interpreter \/nowhere\/bun is not there/,
	},
	{
		name: 'env_file that is not there',
		line: roll,
		make: app({ env_file: '/nowhere/web.env' }),
		says: /gamma: .*env_file.*\/nowhere\/web\.env/,
	},
	{
		name: 'port that is taken',
		line: roll,
		make: takePort,
		says: /gamma: app api: port \d+ is taken by another process; stop that \(ss -ltnp\), or give the app another port/,
		end: releasePort,
	},
];

/** The mistake is refused before anything changes; put right as the message says, the same command is taken. */
const asScene = ({ name, line, make, says, end, quick }: Mistake): Scene => ({
	name: `mistake: ${name}`,
	did: `a mistake in gamma's files, and ${line} on alpha`,
	ends: 'as before',
	rolls: 0,
	...(quick ? { quick } : {}),
	play: async ({ fleet, operator }) => {
		const kept = ['ca.pem', 'cert.pem', 'key.pem'].map((file) => [file, readFileSync(fleet.tls(at, file))] as const);
		const births = fleet.births(at);
		try {
			await make(fleet);
			const said = operator.sees(await operator.types('alpha', line));
			assert.notEqual(said.code, 0);
			assert.match(said.text.replace(/\s+/g, ' '), says);
			assert.equal(fleet.births(at), births);
			assert.ok(await fleet.isWhole(), 'as before');
		} finally {
			await end?.();
			for (const [file, content] of kept) writeFileSync(fleet.tls(at, file), content);
			chmodSync(fleet.tls(at, 'key.pem'), 0o600);
			fleet.write(at);
		}
		// A roll that would begin is told by its plan, which ends as the roll would.
		const again = await operator.types('alpha', line === roll ? plan : line);
		assert.equal(again.code, 0, again.text);
		await waitFor('the fleet to be whole', () => fleet.isWhole());
	},
});

export const mistakeScenes: readonly Scene[] = mistakes.map(asScene);

import { randomBytes, randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One node of the demo: its own folder, and where it is met. */
export interface DemoNode {
	name: string;
	configFile: string;
	socketPath: string;
	appPort: number;
	operationsPort: number;
}

export interface DemoFleet {
	/** Holds everything that the demo writes, 0700. */
	folder: string;
	nodes: DemoNode[];
	username: string;
	password: string;
	/** The same credentials for `--credentials`, 0600. */
	credentialsFile: string;
}

const names = ['alpha', 'beta', 'gamma'];
const workersOfNode = 2;
const secretBytes = 32;
/** Above the well-known ports, below those that the kernel gives to outgoing connections. */
const portMin = 20_000;
const portMax = 32_000;
const portAttemptsMax = 200;

/** Writes a fleet of three nodes on loopback into a new folder: configurations, secret and credentials. Nothing is started. */
export async function writeFleet(): Promise<DemoFleet> {
	const folder = mkdtempSync(join(shortTemporaryFolder(), 'rollcall-'));
	const ports = await freePorts(names.length * 3);
	const port = (node: number, which: number) => ports[node * 3 + which] ?? 0;
	const secretFile = join(folder, 'secret');
	writeSecret(secretFile, randomBytes(secretBytes).toString('hex'));
	const username = 'admin';
	const password = randomBytes(18).toString('base64url');
	const credentialsFile = join(folder, 'credentials');
	writeSecret(credentialsFile, `${username}:${password}\n`);
	const peers = names.map((name, index) => ({ name, url: `ws://127.0.0.1:${port(index, 2)}` }));
	const nodes = names.map((name, index) => {
		const home = join(folder, name);
		for (const path of [home, join(home, 'state'), join(home, 'run')]) mkdirSync(path, { mode: 0o700 });
		const node = {
			name,
			configFile: join(home, 'rollcall.yaml'),
			socketPath: join(home, 'run', 'admin.sock'),
			appPort: port(index, 0),
			operationsPort: port(index, 1),
		};
		writeFileSync(node.configFile, configuration(node, home, peers, port(index, 2), secretFile), { mode: 0o600 });
		return node;
	});
	return { folder, nodes, username, password, credentialsFile };
}

/** JSON is YAML too. */
function configuration(
	node: DemoNode,
	home: string,
	peers: readonly { name: string; url: string }[],
	clusterPort: number,
	secretFile: string,
): string {
	const document = {
		node: { name: node.name },
		state_dir: join(home, 'state'),
		worker_dir: join(home, 'workers'),
		runtime_dir: join(home, 'run'),
		operations_api: {
			socket: { path: node.socketPath, mode: '0600' },
			http: { host: '127.0.0.1', port: node.operationsPort },
		},
		http_workers: [
			{
				name: 'web',
				script: fileURLToPath(new URL('./app.js', import.meta.url)),
				cwd: home,
				instances: workersOfNode,
				env: { PORT: String(node.appPort), NODE_NAME: node.name },
				health: { path: '/healthz' },
			},
		],
		cluster: { listen: { host: '127.0.0.1', port: clusterPort }, secret_file: secretFile, peers },
	};
	return `${JSON.stringify(document, null, 2)}\n`;
}

function writeSecret(file: string, text: string): void {
	writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
}

/** The path of a unix socket has at most 107 bytes: a long temporary folder leaves no room for what stands below it. */
function shortTemporaryFolder(): string {
	const folder = realpathSync(tmpdir());
	return folder.length <= 40 ? folder : '/tmp';
}

/** Ports that nothing listens on now; they are let go again, so another program may still take one. */
async function freePorts(wanted: number): Promise<number[]> {
	const found = new Set<number>();
	for (let attempt = 0; found.size < wanted; attempt += 1) {
		if (attempt >= portAttemptsMax) throw new Error(`No ${wanted} free ports between ${portMin} and ${portMax}.`);
		const port = randomInt(portMin, portMax);
		if (await isFree(port)) found.add(port);
	}
	return [...found];
}

function isFree(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const server = createServer();
		server.once('error', () => resolve(false));
		server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
	});
}

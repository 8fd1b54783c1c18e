/** What is configured for an app is in force when its Node starts: options, variables, folder, and the number of each instance. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kill, plainApp, python, Supervised } from '../../support/workers/supervised.js';

const secret = 'canary-of-the-environment';
const heapMiB = 77;

/** Answers what Node made of what it was started with. With TLS_PORT it listens only once it has trusted a server there. */
const program = `
const facts = () => JSON.stringify({
	pid: process.pid,
	heap: Math.round(require('node:v8').getHeapStatistics().heap_size_limit / 2 ** 20),
	loaded: globalThis.loaded,
	options: process.env.NODE_OPTIONS,
	execArgv: process.execArgv,
});
const listen = () => require('node:http').createServer((q, r) => r.end(facts())).listen(+process.env.PORT);
const { TLS_PORT: port } = process.env;
if (port === undefined) listen();
else require('node:https').get({ host: '127.0.0.1', servername: 'localhost', port }, listen);
`;

interface Facts {
	pid: number;
	heap: number;
	loaded?: string[];
	options?: string;
	execArgv: string[];
}

const ask = async (node: Supervised): Promise<Facts> => (await (await fetch(node.url)).json()) as Facts;

/** Modules of the app's folder, each of which notes that it was loaded and whether listen() was held back by then. */
function writeModules(folder: string): void {
	const note = (name: string): string =>
		`(globalThis.loaded ??= []).push('${name}' + (/native/.test(listen) ? ' before' : ''));`;
	const plain =
		"const listen = require('node:net').Server.prototype.listen.toString().includes('listenInCluster') ? 'native' : '';\n";
	mkdirSync(join(folder, 'node_modules', 'agent'), { recursive: true });
	writeFileSync(join(folder, 'node_modules', 'agent', 'index.js'), plain + note('agent'));
	writeFileSync(join(folder, 'a file.cjs'), plain + note('file'));
	writeFileSync(
		join(folder, 'loader.mjs'),
		`import net from 'node:net';\nconst listen = net.Server.prototype.listen.toString().includes('listenInCluster') ? 'native' : '';\n${note('loader')}`,
	);
}

describe('a Node app', () => {
	let node: Supervised;
	before(async () => {
		node = await Supervised.start(program, { instances: 1 });
		writeModules(node.folder);
	});
	after(() => node.end());

	test('has node_args and NODE_OPTIONS in force, modules found from its folder, and the gate before all of them', async () => {
		// V8 adds room for what is young, and more in later versions.
		const { heap: unlimited } = await ask(node);
		const result = await node.replace({
			nodeArgs: ['--import', './loader.mjs', '--enable-source-maps', '--inspect=0'],
			env: {
				...node.app.env,
				NODE_OPTIONS: `--require agent --require "./a file.cjs" --max-old-space-size=${heapMiB}`,
			},
		});
		assert.equal(result.outcome, 'back', result.reason ?? '');
		const { loaded, heap, options, execArgv } = await ask(node);
		assert.deepEqual(loaded, ['agent', 'file', 'loader']);
		assert.ok(heap >= heapMiB && heap < unlimited, `${heap} of ${unlimited} MiB`);
		assert.equal(options, `--require agent --require "./a file.cjs" --max-old-space-size=${heapMiB}`);
		assert.deepEqual(execArgv.slice(0, 3), ['--import', './loader.mjs', '--enable-source-maps']);
		assert.ok(!execArgv.join().includes('preload'));
	});

	test('trusts the authority of NODE_EXTRA_CA_CERTS from its start on', async () => {
		const authority = join(node.folder, 'ca.pem');
		const key = join(node.folder, 'ca.key');
		const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
		const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
		execFileSync('openssl', [...made, ...subject, '-keyout', key, '-out', authority], { stdio: 'ignore' });
		const { createServer } = await import('node:https');
		const server = createServer({ cert: readFileSync(authority), key: readFileSync(key) }, (_, answer) => answer.end());
		await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
		try {
			const address = server.address();
			const port = String(typeof address === 'object' ? address?.port : '');
			const env = { ...node.app.env, NODE_EXTRA_CA_CERTS: authority, TLS_PORT: port, TOKEN: secret };
			const result = await node.replace({ env, nodeArgs: [] });
			assert.equal(result.outcome, 'back', result.reason ?? '');
			const { pid } = await ask(node);
			assert.ok(!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(secret));
		} finally {
			server.closeAllConnections();
			server.close();
		}
	});
});

describe('the instances of an app', () => {
	let node: Supervised;
	before(async () => {
		node = await Supervised.start(program, {
			instances: 3,
			health: { ...plainApp.health, timeoutMs: 500, failures: 1 },
		});
	});
	after(() => node.end());

	/** The number of each worker, as it says itself, by process id. */
	const numbers = (): Map<number, string> => new Map(node.pids.map((pid) => [pid, numberOf(pid)]));
	const sorted = (): string[] => [...numbers().values()].sort();

	test('have the numbers from 0, each once, before and after a replacement, with more and with fewer of them', async () => {
		assert.deepEqual(sorted(), ['0', '1', '2']);
		assert.equal((await node.replace()).outcome, 'back');
		assert.deepEqual(sorted(), ['0', '1', '2']);
		await node.replace({ instances: 4 });
		assert.deepEqual(sorted(), ['0', '1', '2', '3']);
		await node.replace({ instances: 2 });
		assert.deepEqual(sorted(), ['0', '1']);
	});

	test('keep theirs over a crash, over a restart of the control plane, and when one alone is replaced', async () => {
		const [crashing, other] = [...numbers()];
		assert.ok(crashing && other);
		kill(crashing[0], 'SIGKILL');
		await node.onlyNew([crashing[0]]);
		assert.deepEqual(sorted(), ['0', '1']);
		await node.restartSupervisor();
		// What does not answer any more is replaced alone.
		kill(other[0], 'SIGSTOP');
		await node.onlyNew([other[0]]);
		assert.deepEqual(sorted(), ['0', '1']);
	});
});

test('a program that is not Node has its number, too, in the order of its ports', async () => {
	const says = "os.environ['PORT'] + ' ' + os.environ['NODE_APP_INSTANCE']";
	const node = await Supervised.start(python('', '', says), { interpreter: 'python3', instances: 2 });
	try {
		for (const instance of [0, 1]) {
			const port = node.port + instance;
			assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), `${port} ${instance}`);
		}
	} finally {
		await node.end();
	}
});

/** From the environment that it was started with; where a later variable of the same name stands, that one. */
function numberOf(pid: number): string {
	const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
	return environment.find((one) => one.startsWith('NODE_APP_INSTANCE='))?.split('=')[1] ?? '';
}

/**
 * Runs real apps unchanged behind one node, each under a load, and replaces their workers twice; beside each a control of
 * the same load with nothing replaced. Prints a table; exits 1 when a request was lost, a worker stayed or a roll failed.
 *   bash test/zoo/run.sh installs what it needs and runs it.
 *   node dist/test/zoo/zoo.js [--only NAME,…] [--rate N] [--rolls N]
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCount, readFlags, run, WrongFlag } from '../support/flags.js';
import type { LoadReport } from '../support/workers/load.js';
import { LoadProcess } from '../support/workers/load-process.js';
import { makeFleet, type RealNode, waitFor } from '../support/fleet/nodes.js';
import { type Animal, animals } from './animals.js';

/** From dist/test/zoo to the sources, where the apps and their packages are. */
const zooFolder = fileURLToPath(new URL('../../../test/zoo/', import.meta.url));
const workers = 2;
/** Requests before the first roll and after each. */
const between = 200;
const connectMs = 10_000;
const askMs = 5_000;

interface Row {
	name: string;
	control: LoadReport;
	rolled: LoadReport;
	tookMs: number[];
	problems: string[];
}

interface PrintedRow {
	held: boolean;
	text: string;
}

const configuration = (animal: Animal, port: number): object => ({
	name: 'app',
	script: join(zooFolder, animal.script),
	cwd: join(zooFolder, animal.cwd ?? '.'),
	args: animal.args ?? [],
	...(animal.nodeArgs ? { node_args: animal.nodeArgs } : {}),
	instances: workers,
	env: { PORT: String(port), ...animal.env },
	...(animal.healthPath === undefined ? {} : { health: { path: animal.healthPath } }),
	drain: { timeout: '5s' },
});

async function roll(node: RealNode, problems: string[]): Promise<number> {
	const old = (await node.workers()).map((row) => row.pid);
	const startedAt = performance.now();
	const { status, json } = await node.call('restart_service', { service: 'http_workers' });
	if (status !== 200) problems.push(`restart_service answered ${status}: ${JSON.stringify(json)}`);
	else {
		const view = await node.rollout(String(json['job_id']));
		if (view.state !== 'completed') problems.push(`the rollout ended ${view.state}: ${view.nodes[0]?.reason}`);
		const kept = (await node.workers()).filter((row) => old.includes(row.pid));
		if (kept.length > 0) problems.push(`${kept.length} old workers stayed`);
	}
	return performance.now() - startedAt;
}

interface SocketClient {
	readonly connected: boolean;
	timeout(ms: number): { emitWithAck(event: string): Promise<unknown> };
	disconnect(): void;
}

/** Clients that reconnect as socket.io's do, over websocket alone. */
function connectClients(animal: Animal, url: string): SocketClient[] {
	if (animal.socketClients === undefined) return [];
	const { io } = createRequire(join(zooFolder, 'package.json'))('socket.io-client') as {
		io: (url: string, options: object) => SocketClient;
	};
	return Array.from({ length: animal.socketClients }, () =>
		io(url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200 }),
	);
}

/** Every client is connected, and answered by a worker of the new set. */
async function checkClients(clients: readonly SocketClient[], node: RealNode, problems: string[]): Promise<void> {
	if (clients.length === 0) return;
	await waitFor('the clients to connect', () => clients.every((one) => one.connected), undefined, connectMs);
	const pids = (await node.workers()).map((row) => row.pid);
	for (const client of clients) {
		const pid = await client.timeout(askMs).emitWithAck('ask').catch(String);
		if (!pids.includes(pid as number))
			problems.push(`a client was answered by ${String(pid)}, not by ${pids.join(', ')}`);
	}
}

async function visit(animal: Animal, rate: number, rolls: number): Promise<PrintedRow> {
	const fleet = await makeFleet([{ name: 'alpha' }]);
	const problems: string[] = [];
	const node = fleet.node('alpha');
	let load: LoadProcess | undefined;
	const begin = (): LoadProcess => {
		load = new LoadProcess({ all: { urls: node.appUrl, ratePerSecond: rate, keepAliveShare: 0.5 } });
		return load;
	};
	const end = async (running: LoadProcess): Promise<LoadReport> => (await running.stop())['all'] as LoadReport;
	try {
		node.configure({ http_workers: [configuration(animal, node.ports.app)] });
		await fleet.start();
		const controlLoad = begin();
		await controlLoad.answered(between * 3);
		const control = await end(controlLoad);
		const clients = connectClients(animal, node.appUrl);
		const running = begin();
		const tookMs: number[] = [];
		try {
			await checkClients(clients, node, problems);
			await running.answered(between);
			for (let index = 0; index < rolls; index += 1) {
				tookMs.push(await roll(node, problems));
				await running.answered(between);
				await checkClients(clients, node, problems);
			}
		} finally {
			for (const client of clients) client.disconnect();
		}
		const rolled = await end(running);
		if (rolled.lost > 0) problems.push(...rolled.failures);
		return tableRow({ name: animal.name, control, rolled, tookMs, problems });
	} finally {
		load?.kill();
		await fleet.end();
	}
}

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

const brokenRow = (name: string, error: unknown): PrintedRow => ({
	held: false,
	text: `| ${name} | | | | | | ${String(error).replaceAll('\n', ' ')} |`,
});

function tableRow({ name, control, rolled, tookMs, problems }: Row): PrintedRow {
	const cells = [
		name,
		`${control.lost} of ${control.sent}`,
		`${rolled.lost} of ${rolled.sent}`,
		tookMs.map(seconds).join(', '),
		`${Math.round(control.p99)}`,
		`${Math.round(rolled.p99)}`,
		problems.join('; ') || 'held',
	];
	return { held: problems.length === 0, text: `| ${cells.join(' | ')} |` };
}

await run('zoo', async () => {
	const flags = readFlags({
		only: { type: 'string', default: '' },
		rate: { type: 'string', default: '200' },
		rolls: { type: 'string', default: '2' },
	});
	const only = flags.only === '' ? null : flags.only.split(',');
	const known = animals.map((animal) => animal.name);
	const unknown = only?.find((name) => !known.includes(name));
	if (unknown !== undefined) throw new WrongFlag(`--only takes names of ${known.join(', ')}, not '${unknown}'`);
	const rate = readCount('rate', flags.rate, 1, 2_000);
	const rolls = readCount('rolls', flags.rolls, 1, 100);
	process.stdout.write(`Node ${process.versions.node}, ${workers} workers each, ${rate} requests/s\n`);
	process.stdout.write(
		'| app | lost, nothing replaced | lost over the rolls | each roll, s | p99 ms | p99 ms, rolled | |\n',
	);
	process.stdout.write('|---|---|---|---|---|---|---|\n');
	let [passed, failed] = [0, 0];
	for (const animal of animals) {
		if (only && !only.includes(animal.name)) continue;
		const row = await visit(animal, rate, rolls).catch((error: unknown) => brokenRow(animal.name, error));
		process.stdout.write(`${row.text}\n`);
		if (row.held) passed += 1;
		else failed += 1;
	}
	process.stdout.write(`${passed} passed, ${failed} failed\n`);
	return failed === 0 ? 0 : 1;
});

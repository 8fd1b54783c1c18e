/**
 * A cluster primary of its own, as PM2's daemon is one: it starts workers on a parent's word and says what becomes of
 * them. Run by test/support/workers/primary.ts.
 */
import nodeCluster = require('node:cluster');
import host = require('../../../src/workers/preload/host.cjs');

const cluster = nodeCluster as unknown as nodeCluster.Cluster;
cluster.schedulingPolicy = process.env['POLICY'] === 'rr' ? 2 : 1;

if (process.env['RELAY'] === 'on') host.install(cluster);
if (process.env['RELAY'] === 'stuck') cluster.on('fork', keepWhatItOffers);

/** A host that says there is a sibling, takes the connections, and never passes one on. */
function keepWhatItOffers(worker: nodeCluster.Worker): void {
	const keys: string[] = [];
	worker.on('message', (message: { rollcall?: string; keys?: string[] }) => {
		if (message.rollcall === 'joined') keys.push(...(message.keys ?? []));
		if (message.rollcall === 'leaving') worker.send({ rollcall: 'siblings', keys });
		if (message.rollcall === 'adopt') process.send?.({ kept: worker.process.pid });
	});
}

interface Start {
	call: number;
	file: string;
	execArgv: string[];
	env: Record<string, string>;
}

process.on('message', (command: Start | { tell: number; message: string }) => {
	if ('tell' in command) {
		const told = Object.values(cluster.workers ?? {}).find((worker) => worker?.process.pid === command.tell);
		told?.send(command.message);
		return;
	}
	const { call, file, execArgv, env } = command;
	cluster.setupPrimary({ exec: file, execArgv, args: [] });
	const worker = cluster.fork(env);
	process.send?.({ call, pid: worker.process.pid });
	worker.process.on('exit', (code, signal) => process.send?.({ exited: worker.process.pid, code, signal }));
});
process.on('disconnect', () => process.exit());

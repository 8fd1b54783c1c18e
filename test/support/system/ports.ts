import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the range that the kernel takes outgoing ports from, so that none is taken between the look and the use. */
const lowest = 20_000;
const highest = 32_700;
/** Tries for each port: even when half of the range is taken, not one of a thousand ports is missing then. */
const triesEach = 100;
const given = new Set<number>();

/** Ports on 127.0.0.1 that nobody listens on now, each given out once by this process. */
export async function freePorts(count: number): Promise<number[]> {
	const ports: number[] = [];
	for (let attempt = 0; ports.length < count && attempt < triesEach * count; attempt++) {
		const port = lowest + Math.floor(Math.random() * (highest - lowest));
		if (given.has(port)) continue;
		// At once, so that two who ask at the same time never get the same one.
		given.add(port);
		if (await isFree(port)) ports.push(port);
	}
	if (ports.length < count) throw new Error(`no ${count} free ports between ${lowest} and ${highest}`);
	return ports;
}

async function isFree(port: number): Promise<boolean> {
	const server = createServer();
	server.listen({ host: '127.0.0.1', port, exclusive: true });
	try {
		await once(server, 'listening');
	} catch {
		return false;
	}
	server.close();
	await once(server, 'close');
	return true;
}

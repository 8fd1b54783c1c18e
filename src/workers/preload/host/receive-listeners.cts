import fs = require('node:fs');
import net = require('node:net');
import path = require('node:path');
import internals = require('./pipe-internals.cjs');
import type { ListeningSocket } from '../types.cjs';

/** Asking workers for their sockets takes no longer than this, or the host starts without. */
const patienceMs = 1_500;
const lendersMax = 256;
/** A received socket without a listener is closed after this. */
const unusedMs = 120_000;
const checkMs = 5_000;

type CreateServerHandle = (address: string | null, port: number, ...more: unknown[]) => unknown;
type Closable = { close(callback?: () => void): void };

interface Borrowed extends ListeningSocket {
	/** When it was last given back. */
	unusedSince: number;
}

/**
 * In a new host: the listening sockets of workers whose own host has died. They are asked for copies, and when a new
 * worker wants to listen where they do, it gets that same socket instead of a refusal. Resolves to how many there are.
 */
async function borrow(directory: string): Promise<number> {
	const lenders = fs.readdirSync(directory).filter(isOfLiving).slice(0, lendersMax);
	if (lenders.length === 0) return 0;
	const received = await receive(path.join(directory, 'host.lend'), (meetingPoint) =>
		lenders.map((name) => ask(path.join(directory, name), meetingPoint)),
	);
	const unique = new Map<string, Borrowed>();
	for (const lent of received) {
		const key = lent.path ?? `${lent.address} ${lent.port}`;
		if (unique.has(key)) (lent.handle as Closable).close();
		else unique.set(key, { ...lent, unusedSince: performance.now() });
	}
	if (unique.size > 0) offer([...unique.values()]);
	return unique.size;
}

function isOfLiving(name: string): boolean {
	const pid = /\.(\d+)\.ctl$/.exec(name)?.[1];
	return pid !== undefined && fs.existsSync(`/proc/${pid}`);
}

/** Resolves to true when the worker says that it has lent what it has. */
function ask(controlPath: string, meetingPoint: string): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = net.connect(controlPath);
		socket.setEncoding('utf8');
		socket.once('connect', () => socket.write(`${JSON.stringify({ seq: 1, command: 'lend', path: meetingPoint })}\n`));
		let text = '';
		socket.on('data', (more: string) => {
			text += more;
			const answer = text.split('\n').find((line) => line.includes('"seq":1'));
			if (answer === undefined || !text.includes('\n')) return;
			resolve(answer.includes('"ok":true'));
			socket.destroy();
		});
		socket.once('error', () => resolve(false));
		socket.once('close', () => resolve(false));
	});
}

async function receive(meetingPoint: string, askAll: (path: string) => Promise<boolean>[]): Promise<ListeningSocket[]> {
	const { Pipe, constants } = internals();
	const lent: ListeningSocket[] = [];
	const lines: Promise<void>[] = [];
	fs.rmSync(meetingPoint, { force: true });
	const server = new Pipe(constants.SERVER);
	server.onconnection = (status, client) => {
		if (status === 0) lines.push(takeFrom(client, lent));
	};
	if (server.bind(meetingPoint) < 0 || server.listen(lendersMax) < 0)
		throw new Error(`${meetingPoint} cannot be bound`);
	const all = Promise.all(askAll(meetingPoint)).then(async (answers) => {
		// Every lender's connection was accepted before its answer could be read, or is about to be.
		const expected = answers.filter(Boolean).length;
		while (lines.length < expected) await new Promise((resolve) => setTimeout(resolve, 5));
		await Promise.all(lines);
	});
	await Promise.race([all, new Promise((resolve) => setTimeout(resolve, patienceMs))]);
	server.close();
	fs.rmSync(meetingPoint, { force: true });
	return lent;
}

/**
 * Reads descriptions, each with its descriptor. Accepting gives a plain pipe, so the descriptor pipe is a second handle
 * on the same connection; neither is closed, since closing both would close a number twice: one descriptor for each
 * lender stays with the host for its life.
 */
function takeFrom(client: { fd: number }, lent: ListeningSocket[]): Promise<void> {
	const { Pipe, constants } = internals();
	const pipe = new Pipe(constants.IPC);
	pipe.open(client.fd);
	kept.push(client, pipe);
	return new Promise((resolve) => {
		const text = new TextDecoder();
		pipe.onread = (data) => {
			if (data === undefined) {
				pipe.readStop();
				resolve();
				return;
			}
			const handle = pipe.pendingHandle;
			delete pipe.pendingHandle;
			const description = JSON.parse(text.decode(data)) as Omit<ListeningSocket, 'handle'>;
			if (handle) lent.push({ ...description, handle });
		};
		pipe.readStart();
	});
}

const kept: unknown[] = [];

/** From now on a listen at the address of a received socket gets that socket. */
function offer(sockets: Borrowed[]): void {
	const node = net as unknown as { _createServerHandle: CreateServerHandle };
	const create = node._createServerHandle;
	const free = new Set(sockets);
	const reallyClose = new Map(sockets.map((one) => [one, (one.handle as Closable).close]));
	for (const one of sockets) {
		// The cluster closes a socket when its last worker leaves, which may be a release that was refused.
		(one.handle as Closable).close = (callback) => {
			one.unusedSince = performance.now();
			free.add(one);
			if (callback) setImmediate(callback);
		};
	}
	node._createServerHandle = (address, port, ...more) => {
		const match = [...free].find((one) => isSame(one, address, port));
		if (match === undefined) return create(address, port, ...more);
		free.delete(match);
		return match.handle;
	};
	const timer = setInterval(() => {
		for (const one of free) {
			if (performance.now() - one.unusedSince < unusedMs) continue;
			free.delete(one);
			Reflect.apply(reallyClose.get(one) ?? (() => undefined), one.handle, []);
		}
	}, checkMs);
	timer.unref();
}

function isSame(one: ListeningSocket, address: string | null, port: number): boolean {
	if (one.path !== null) return one.path === address;
	if (one.port !== port) return false;
	if (address === null) return one.address === '::' || one.address === '0.0.0.0';
	return one.address === address;
}

export = borrow;

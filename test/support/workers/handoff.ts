/**
 * Connections with requests cut in two, between which a worker hands over what is at rest. What the workers of
 * apps/messages.cts say that they read must be what was sent, and every request that nobody said goodbye to is answered.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../random.js';
import { freePort, Primary, type TestWorker, within } from './primary.js';

export const framings = ['none', 'length', 'chunked', 'trailers', 'expect'] as const;
/** When a request is answered; see apps/messages.cts. */
export const moments = ['early', 'read', 'amid', 'late', 'slow'] as const;

export interface RequestKind {
	framing: (typeof framings)[number];
	when: (typeof moments)[number];
}

interface SentRequest {
	/** Method and path. */
	line: string;
	body: string;
	bytes: string;
	/** So many of its bytes must have come before it is answered. */
	answeredAt: number;
	/** Node ends a connection whose client was told not to send the body. */
	closes: boolean;
}

/** What one connection sends, and where it pauses for the handover. */
export interface Conversation {
	requests: SentRequest[];
	bytes: string;
	cut: number;
	/** The pieces in which it is sent, each so many ms after the one before; null: in two, and each is waited for. */
	pauses: { at: number; ms: number }[] | null;
}

/** A body that is a request itself, if it is read as one. */
const stowaway = 'GET /admin/delete HTTP/1.1\r\nHost: x\r\n\r\n';
const answeredWithinMs = 30_000;
const lookMs = 10;
/** Some pieces come before the handover, some after it. */
const pauseMaxMs = 300;

function sentRequest(path: string, { framing, when }: RequestKind, body: string): SentRequest {
	const line = `${framing === 'none' ? 'GET' : 'POST'} ${path}/${when}`;
	const chunked = framing === 'chunked' || framing === 'trailers';
	const fields = {
		none: '',
		length: `Content-Length: ${body.length}\r\n`,
		chunked: 'Transfer-Encoding: chunked\r\n',
		trailers: 'Trailer: x-sum\r\nTransfer-Encoding: chunked\r\n',
		expect: `Expect: 100-continue\r\nContent-Length: ${body.length}\r\n`,
	};
	const head = `${line} HTTP/1.1\r\nHost: x\r\n${fields[framing]}\r\n`;
	const half = Math.ceil(body.length / 2);
	const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
	const end = framing === 'trailers' ? '0\r\nx-sum: 1\r\n\r\n' : '0\r\n\r\n';
	const content = chunked ? `${chunk(body.slice(0, half))}${chunk(body.slice(half))}${end}` : body;
	const bytes = framing === 'none' ? head : head + content;
	const beforeBody = head.length + (chunked ? content.indexOf('\n') + 1 : 0);
	const answeredAt = {
		early: head.length,
		read: head.length,
		amid: Math.min(beforeBody + 1, bytes.length),
		late: bytes.length,
		slow: Number.POSITIVE_INFINITY,
	};
	const closes = framing === 'expect' && when === 'early';
	return { line, body: framing === 'none' ? '' : body, bytes, answeredAt: answeredAt[when], closes };
}

let conversations = 0;

/** A conversation of its own name, whose requests are of these kinds, one sent right behind the other. */
export function converse(kinds: readonly RequestKind[], cut: number, body = stowaway): Conversation {
	const name = ++conversations;
	const requests = kinds.map((kind, index) => sentRequest(`/${name}/${index}`, kind, body));
	return { requests, bytes: requests.map((one) => one.bytes).join(''), cut, pauses: null };
}

/** How many answers have to come for what is sent before the cut; and whether the connection is at rest then. */
function atCut({ requests, cut }: Conversation): { answers: number; rests: boolean } {
	let answers = 0;
	let begin = 0;
	for (const { bytes, answeredAt, closes } of requests) {
		if (begin === cut) return { answers, rests: true };
		if (begin + answeredAt > cut) return { answers, rests: false };
		answers += 1;
		if (closes) return { answers, rests: false };
		begin += bytes.length;
	}
	return { answers, rests: begin === cut };
}

/** A client that reads answers one after the other. */
class Client {
	readonly answers: { status: number; request: string; closes: boolean }[] = [];
	readonly socket: net.Socket;
	closed = false;
	#rest = '';

	constructor(
		port: number,
		readonly conversation: Conversation,
	) {
		this.socket = net.connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay();
		this.socket.on('data', (text: string) => this.#read(text));
		this.socket.on('error', () => undefined);
		this.socket.once('close', () => {
			this.closed = true;
		});
	}

	#read(text: string): void {
		this.#rest += text;
		for (;;) {
			const end = this.#rest.indexOf('\r\n\r\n');
			if (end < 0) return;
			const head = this.#rest.slice(0, end);
			const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
			if (this.#rest.length < end + 4 + length) return;
			this.#rest = this.#rest.slice(end + 4 + length);
			const status = Number(head.slice(9, 12));
			const request = /^x-request: (.*)$/im.exec(head)?.[1] ?? '';
			if (status !== 100) this.answers.push({ status, request, closes: /^connection: close$/im.test(head) });
		}
	}

	get isLetGo(): boolean {
		return this.closed || this.answers.at(-1)?.closes === true;
	}

	async answered(count: number): Promise<void> {
		while (!this.closed && this.answers.length < count)
			await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')]);
	}

	/** All was sent: every request is answered, or the worker has let the connection go. One more is asked if it has not. */
	async finish(): Promise<void> {
		const { requests } = this.conversation;
		await this.answered(requests.length);
		if (this.isLetGo) return;
		const last = sentRequest(`/${requests[0]?.line.split('/')[1]}/last`, { framing: 'none', when: 'late' }, '');
		requests.push(last);
		this.socket.write(last.bytes);
		await this.answered(requests.length);
	}
}

/** Workers of apps/messages.cts in a line, each of which takes over from the one before. */
export class HandoffLine {
	/** Connections that were judged. */
	connections = 0;
	handedOver = 0;
	readonly #primary: Primary;
	readonly #diary: string;
	#port = 0;
	#worker: TestWorker | null = null;
	#bytesBefore = 0;
	#diaryRead = 0;

	constructor(options?: ConstructorParameters<typeof Primary>[0]) {
		this.#primary = new Primary(options);
		this.#diary = join(this.#primary.directory, 'diary');
	}

	async #next(): Promise<TestWorker> {
		this.#port ||= await freePort();
		const worker = await this.#primary.start('messages.cjs', { env: { PORT: String(this.#port), DIARY: this.#diary } });
		await worker.listening();
		await worker.control.live();
		return worker;
	}

	/** Lets the present worker leave in the middle of these conversations. */
	async run(all: readonly Conversation[]): Promise<void> {
		const old = this.#worker ?? (await this.#next());
		const clients = all.map((conversation) => new Client(this.#port, conversation));
		try {
			await Promise.all(clients.map(({ socket }) => within('connect', once(socket, 'connect'))));
			await old.until(({ sockets }) => sockets === all.length);
			const timed = clients.filter(({ conversation }) => conversation.pauses !== null);
			const cut = clients.filter(({ conversation }) => conversation.pauses === null);
			for (const { socket, conversation } of cut) socket.write(conversation.bytes.slice(0, conversation.cut));
			const expected = cut.map(({ conversation }) => atCut(conversation));
			const bytes = cut.reduce((sum, { conversation }) => sum + conversation.cut, 0);
			await this.#received(old, bytes);
			await within(
				'answers before the cut',
				Promise.all(cut.map((client, at) => client.answered(expected[at]?.answers ?? 0))),
			);
			const sibling = await this.#next();
			const writing = timed.map((client) => writeTimed(client));
			await old.control.drain({ timeoutMs: 60_000, handOver: true });
			const resting = expected.filter(({ rests }) => rests).length;
			await sibling.until(({ sockets }) => sockets >= resting);
			const stay = cut.filter((client) => !client.isLetGo).length - resting;
			const stayed = timed.length > 0 || stay === 0 ? stay : (await old.control.status()).sockets;
			process.kill(old.pid, 'SIGUSR2');
			process.kill(sibling.pid, 'SIGUSR2');
			for (const { socket, conversation } of cut) socket.write(conversation.bytes.slice(conversation.cut));
			await Promise.all(writing);
			const answers = within('answers', Promise.all(clients.map((client) => client.finish())), answeredWithinMs);
			await answers.finally(() => this.#judge(clients));
			assert.equal(stayed, stay, 'connections inside a message at the handover');
			for (const { socket } of clients) socket.destroy();
			const drained = await old.pushed('drained');
			await within('exit', old.exited);
			assert.equal(drained.cutOff, 0, 'connections cut off');
			this.connections += clients.length;
			this.handedOver += drained.handedOver;
			this.#worker = sibling;
			this.#bytesBefore = await bytesReadBy(sibling);
			await sibling.until(({ sockets }) => sockets === 0);
		} finally {
			for (const { socket } of clients) socket.destroy();
		}
	}

	async #received(worker: TestWorker, bytes: number): Promise<void> {
		const all = async (): Promise<void> => {
			while ((await bytesReadBy(worker)) < this.#bytesBefore + bytes) await delay(lookMs);
		};
		await within('all bytes to be read', all());
	}

	/** What was read, in its order, is what was sent, in its order; what was answered is a part of that. */
	#judge(clients: readonly Client[]): void {
		const text = readFileSync(this.#diary, 'utf8');
		const lines = text.slice(this.#diaryRead).split('\n').slice(0, -1);
		this.#diaryRead = text.length;
		const heads = new Map<string, string[]>();
		const bodies = new Map<string, string>();
		for (const line of lines) {
			const [what, , first = '', second = ''] = JSON.parse(line) as string[];
			if (what === 'body') bodies.set(first, second);
			else heads.set(nameOf(second), [...(heads.get(nameOf(second)) ?? []), `${first} ${second}`]);
		}
		for (const client of clients) {
			const { conversation, answers } = client;
			const { requests, bytes, cut, pauses } = conversation;
			const name = nameOf(requests[0]?.line ?? '');
			const sent = requests.map(({ line }) => line);
			const read = heads.get(name) ?? [];
			heads.delete(name);
			const shown = `${JSON.stringify([bytes.slice(0, cut), bytes.slice(cut)])} ${JSON.stringify(pauses)} was answered ${JSON.stringify(answers)}`;
			assert.deepEqual(read, sent.slice(0, read.length), shown);
			assert.deepEqual(
				answers.map(({ request }) => request),
				read.slice(0, answers.length),
				shown,
			);
			if (!client.isLetGo) assert.equal(answers.length, sent.length, shown);
			// What a client sends after the worker's goodbye resets the connection, and the goodbye can be lost by that.
			else if (answers.at(-1)?.closes !== true)
				assert.ok(read.length > answers.length, `closed without a word: ${shown}`);
			for (const { line, body } of requests) {
				const had = bodies.get(line.split(' ')[1] ?? '');
				if (had !== undefined) assert.equal(had, body, shown);
			}
		}
		assert.deepEqual([...heads.values()].flat(), [], 'requests that nobody sent');
	}

	stop(): Promise<void> {
		return this.#primary.stop();
	}
}

const nameOf = (line: string): string => line.split('/')[1] ?? '';

async function writeTimed({ socket, conversation: { bytes, pauses } }: Client): Promise<void> {
	let sent = 0;
	for (const { at, ms } of pauses ?? []) {
		await delay(ms);
		socket.write(bytes.slice(sent, at));
		sent = at;
	}
	socket.write(bytes.slice(sent));
}

async function bytesReadBy(worker: TestWorker): Promise<number> {
	const socketPath = (await worker.control.status()).listens[0]?.probe ?? '';
	const socket = net.connect(socketPath).setEncoding('latin1');
	socket.write('GET /bytes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
	const text = (await within('bytes', socket.toArray())).join('');
	return Number(text.slice(text.indexOf('\r\n\r\n')).match(/\d+(?=\r\n0|$)/)?.[0]);
}

/** A conversation of up to four requests, sent in pieces at times that know nothing of the handover. */
export function anyConversation(random: Random): Conversation {
	const kinds = Array.from({ length: random.between(1, 4) }, () => ({
		framing: random.pick(framings),
		when: random.pick(moments),
	}));
	const body = stowaway.repeat(random.chance(0.05) ? random.between(100, 2_000) : random.between(1, 3));
	const conversation = converse(kinds, 0, body);
	const ends = conversation.requests.map((_, at) =>
		conversation.requests.slice(0, at).reduce((sum, { bytes }) => sum + bytes.length, 0),
	);
	const { length } = conversation.bytes;
	const cut = (): number => (random.chance(0.4) ? random.pick(ends) : random.between(0, length));
	const cuts = Array.from({ length: random.between(1, 4) }, cut).sort((a, b) => a - b);
	return { ...conversation, pauses: cuts.map((at) => ({ at, ms: random.between(0, pauseMaxMs) })) };
}

/** Conversations that are cut at each of their bytes. */
export function everyCut(): Conversation[] {
	const get: RequestKind = { framing: 'none', when: 'late' };
	const kinds: RequestKind[][] = [
		[get, get],
		[{ framing: 'none', when: 'slow' }, get],
		...framings.slice(1).flatMap((framing) => moments.slice(0, -1).map((when) => [{ framing, when }, get])),
		[get, { framing: 'length', when: 'early' }],
		[
			{ framing: 'length', when: 'early' },
			{ framing: 'chunked', when: 'early' },
		],
	];
	return kinds.flatMap((kind) => {
		const { length } = converse(kind, 0).bytes;
		return Array.from({ length: length + 1 }, (_, cut) => converse(kind, cut));
	});
}

/**
 * Tells URLs of the configuration what became of a rollout. Only the node that coordinates it does, after the fact and beside
 * the rollout, which never waits for it. Headers and signature are those of the Standard Webhooks specification.
 */
import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { readSharedSecret } from '../../config/checks/cluster.js';
import type { LoadedConfig } from '../../config/load.js';
import type { rolloutEvents } from '../../config/schema.js';
import type { Fleet } from '../../fleet/types.js';
import { messageOf } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { RolloutView } from '../../rollout/types.js';

export type WebhookEvent = (typeof rolloutEvents)[number];

export interface Webhook {
	url: string;
	events: readonly WebhookEvent[];
	/** Read at each delivery, so that a secret can be replaced. */
	secret(): string;
}

/** Between one try and the next; after the last one the event is given up. */
const pausesMs = [1_000, 5_000, 25_000];
const answerTimeoutMs = 5_000;
/** Most that waits for one URL; the oldest is given up first. */
const waitingMax = 64;
/** Most rollouts whose last event is remembered. */
const seenMax = 200;
const reasonCharactersMax = 1_000;

interface Delivery {
	id: string;
	event: WebhookEvent;
	rollout: string;
	body: string;
}

export interface WebhooksOptions {
	fleet: Pick<Fleet, 'on' | 'removeListener' | 'list' | 'complaint'>;
	node: string;
	webhooks: readonly Webhook[];
	logger: Logger;
	/** For tests. */
	pausesMs?: readonly number[];
}

export function openWebhooks(config: LoadedConfig, fleet: Fleet, logger: Logger): Webhooks {
	const webhooks = config.rollout.notify.map(({ url, events, secret_file: file }) => ({
		url,
		events,
		secret: () => readSharedSecret(file),
	}));
	return new Webhooks({ fleet, node: config.node.name, webhooks, logger: logger.child({ room: 'webhooks' }) });
}

export class Webhooks {
	readonly #seen = new Map<string, WebhookEvent>();
	readonly #senders: readonly Sender[];
	readonly #stop = new AbortController();
	readonly #onRollout = (view: RolloutView): void => this.#hear(view);

	constructor(private readonly options: WebhooksOptions) {
		const { fleet, webhooks, logger } = options;
		const pauses = options.pausesMs ?? pausesMs;
		this.#senders = webhooks.map((webhook) => new Sender(webhook, pauses, this.#stop.signal, logger));
		// The coordinator of that time has told what happened before this start.
		if (fleet.complaint() === null) for (const view of fleet.list(seenMax)) this.#seen.set(view.id, eventOf(view));
		if (webhooks.length > 0) fleet.on('rollout', this.#onRollout);
	}

	close(): void {
		this.options.fleet.removeListener('rollout', this.#onRollout);
		this.#stop.abort();
	}

	/** Followers hear it, too, so that one that takes over does not tell it again. */
	#hear(view: RolloutView): void {
		const event = eventOf(view);
		const before = this.#seen.get(view.id);
		if (before === event) return;
		this.#seen.delete(view.id);
		this.#seen.set(view.id, event);
		const [oldest] = this.#seen.keys();
		if (this.#seen.size > seenMax && oldest !== undefined) this.#seen.delete(oldest);
		const isResumed = event === 'started' && before !== undefined;
		if (isResumed || view.coordinator !== this.options.node) return;
		const body = JSON.stringify({
			event,
			text: textOf(event, view),
			at: Date.now(),
			node: this.options.node,
			rollout: view,
		});
		// A rollout that was resumed can halt again; a coordinator that follows another says the same once more.
		const attempt = Math.max(1, ...view.nodes.map((node) => node.attempt));
		const delivery = { id: `${view.id}-${event}-${attempt}`, event, rollout: view.id, body };
		for (const sender of this.#senders) sender.add(delivery);
	}
}

/** Resuming a paused or halted rollout brings it back to `started`. */
function eventOf(view: Pick<RolloutView, 'state' | 'held' | 'reverted_by'>): WebhookEvent {
	if (view.state === 'aborted' && view.reverted_by) return 'reverted';
	switch (view.state) {
		case 'completed':
		case 'aborted':
		case 'halted':
			return view.state;
		default:
			return view.held ? 'held' : 'started';
	}
}

/** One line that chat tools can show: a reason may hold what a release wrote, so it starts no mention, link or new line. */
function textOf(event: WebhookEvent, view: RolloutView): string {
	const back = view.nodes.filter(({ state }) => state === 'back').length;
	const what = view.type === 'restart' ? 'restart' : (view.service ?? view.type);
	const apps = view.apps ?? (view.app === null ? [] : [view.app]);
	const undone = view.reverts ? `, undo of ${view.reverts.slice(0, 8)}` : '';
	const of = apps.length > 0 ? ` of ${apps.join(', ')}` : '';
	const by = view.asked_by?.user ?? view.user;
	const why = view.note ? ` (${view.note})` : '';
	const reason = view.reason === null ? '' : `: ${view.reason.slice(0, reasonCharactersMax)}`;
	const line = `Rollcall: rollout ${view.id.slice(0, 8)} (${what}${of}${undone}) ${event}, ${back} of ${view.nodes.length} nodes back, asked for by ${by}${why}${reason}`;
	return line
		.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
		.replace(/</g, '‹')
		.replace(/>/g, '›')
		.replace(/@(?=\w)/g, '@\u2060');
}

/** Sends the events of one URL, in order. */
class Sender {
	readonly #waiting: Delivery[] = [];
	#isSending = false;

	constructor(
		private readonly webhook: Webhook,
		private readonly pauses: readonly number[],
		private readonly stop: AbortSignal,
		private readonly logger: Logger,
	) {}

	add(delivery: Delivery): void {
		if (!this.webhook.events.includes(delivery.event)) return;
		this.#waiting.push(delivery);
		const dropped = this.#waiting.length > waitingMax ? this.#waiting.shift() : undefined;
		if (dropped) this.#log('webhook_given_up', dropped, `more than ${waitingMax} wait`);
		if (!this.#isSending) void this.#send();
	}

	async #send(): Promise<void> {
		this.#isSending = true;
		for (let next = this.#waiting.shift(); next && !this.stop.aborted; next = this.#waiting.shift()) {
			await this.#deliver(next).catch(() => undefined);
		}
		this.#isSending = false;
	}

	async #deliver(delivery: Delivery): Promise<void> {
		for (let tried = 0; ; tried += 1) {
			const fault = await this.#try(delivery);
			if (fault === null || this.stop.aborted) return;
			const pause = fault.isFinal ? undefined : this.pauses[tried];
			if (pause === undefined) return this.#log('webhook_given_up', delivery, fault.reason);
			await delay(pause, undefined, { signal: this.stop });
		}
	}

	/** null: it was taken. */
	async #try({ id, body }: Delivery): Promise<{ reason: string; isFinal: boolean } | null> {
		try {
			const response = await fetch(this.webhook.url, {
				method: 'POST',
				headers: { 'content-type': 'application/json', ...signatureOf(id, body, this.webhook.secret()) },
				body,
				redirect: 'manual',
				signal: AbortSignal.any([this.stop, AbortSignal.timeout(answerTimeoutMs)]),
			});
			await response.body?.cancel();
			if (response.ok) return null;
			const { status } = response;
			return { reason: `it answered ${status}`, isFinal: status < 500 && status !== 408 && status !== 429 };
		} catch (error) {
			const { cause } = error as Error;
			return { reason: messageOf(cause ?? error), isFinal: false };
		}
	}

	/** The address alone: the rest of a URL is often a secret of its own. */
	#log(event: string, { id, rollout }: Delivery, reason: string): void {
		this.logger.warn({ event, rollout, delivery: id, to: new URL(this.webhook.url).origin, reason });
	}
}

function signatureOf(id: string, body: string, secret: string): Record<string, string> {
	const timestamp = String(Math.floor(Date.now() / 1_000));
	const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
	return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${mac}` };
}

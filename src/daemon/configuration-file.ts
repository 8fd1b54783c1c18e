import { EventEmitter } from 'node:events';
import { toWorkerApps } from '../config/apps.js';
import { type StandIn, writeLastGood } from '../config/last-good.js';
import { type LoadedConfig, loadConfig } from '../config/load.js';
import { ConfigurationError } from '../config/document/faults.js';
import { messageOf } from '../errors.js';
import { readMembership } from '../fleet/links/membership.js';
import type { Logger } from '../log.js';

/** Throws `configuration` when keys, certificates or variables that a configuration names cannot be used. */
export function checkNamedFiles(config: LoadedConfig): void {
	readMembership(config);
	toWorkerApps(config);
}

/** A file of another node, copied here by mistake, would make a second node of that name at the next start. */
function checkNodeName(name: string, fresh: LoadedConfig): void {
	if (fresh.node.name === name) return;
	const place = { file: fresh.source.file, line: null, column: null, variable: null, key: 'node.name' };
	const hint = `put this node's own file back. To rename a node, in this order: take ${name} out of cluster.peers of all others, and on one of them rollcall restart_service service=clustering_config replicated=true; give ${name} the new name and a certificate of that name, and restart its daemon; add the new name to cluster.peers of all, and the same command again`;
	throw new ConfigurationError([{ ...place, expected: `${name}, as this node runs`, got: fresh.node.name, hint }]);
}

interface Parts {
	/** What this node started by: the file's, or the last good one. */
	config: LoadedConfig;
	standIn: StandIn | null;
	/** The daemon's own, as it was started: overrides come from it at every reading. */
	environment: NodeJS.ProcessEnv;
	logger: Logger;
}

/** Faults of the file that a note repeats; the log has them all. */
const noteCharactersMax = 600;

/**
 * The configuration file of a node that runs. While the file does not check and the node runs by its last good
 * configuration instead, every reading throws, so the node refuses each rollout; the first reading that checks ends that.
 */
export class ConfigurationFile extends EventEmitter<{ changed: [] }> {
	#standIn: StandIn | null;
	#kept: string | null;
	#writing: Promise<void> = Promise.resolve();

	constructor(private readonly parts: Parts) {
		super();
		this.#standIn = parts.standIn;
		this.#kept = parts.standIn ? parts.config.source.text : null;
		if (parts.standIn) this.#tell(parts.standIn);
	}

	/** Whether the node runs by its last good configuration. */
	get standsIn(): boolean {
		return this.#standIn !== null;
	}

	/** Reads the file afresh. Throws `configuration` with every fault. */
	read(): LoadedConfig {
		const { config, environment } = this.parts;
		try {
			const fresh = loadConfig({ file: config.source.file, env: environment });
			checkNodeName(config.node.name, fresh);
			if (this.#standIn) checkNamedFiles(fresh);
			this.#mended();
			return fresh;
		} catch (error) {
			this.#stillWrong(messageOf(error));
			throw error;
		}
	}

	/** This reading is in force: a later start may fall back on it. One that was only looked at is not. */
	accepted({ text }: Pick<LoadedConfig['source'], 'text'>): Promise<void> {
		this.#writing = this.#writing.then(() => this.#keep(text));
		return this.#writing;
	}

	/** What an operator should know, in a sentence; null while all is well. */
	note(): string | null {
		if (!this.#standIn) return null;
		const { fault, acceptedAt } = this.#standIn;
		const short = fault.replaceAll('\n', '; ').slice(0, noteCharactersMax);
		const since = new Date(acceptedAt).toISOString();
		return `The configuration file does not check: ${short}. This node runs by the last good one, of ${since}, and takes part in no rollout until the file is corrected: edit it, then roll http_workers or restart the daemon`;
	}

	async #keep(text: string): Promise<void> {
		const { config, logger } = this.parts;
		if (text === this.#kept) return;
		try {
			await writeLastGood(config.state_dir, config.source.file, text, Date.now());
			this.#kept = text;
		} catch (error) {
			logger.warn({ event: 'last_good_not_kept', reason: messageOf(error) });
		}
	}

	#mended(): void {
		if (!this.#standIn) return;
		this.#standIn = null;
		this.parts.logger.info({ event: 'configuration_mended', file: this.parts.config.source.file });
		this.emit('changed');
	}

	#stillWrong(fault: string): void {
		if (!this.#standIn || this.#standIn.fault === fault) return;
		this.#standIn = { ...this.#standIn, fault };
		this.#tell(this.#standIn);
		this.emit('changed');
	}

	#tell({ fault, acceptedAt }: StandIn): void {
		const { config, logger } = this.parts;
		logger.error(
			{ event: 'configuration_refused', file: config.source.file, reason: fault, accepted_at: acceptedAt },
			'running by the last good configuration',
		);
	}
}

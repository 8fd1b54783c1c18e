import type { Config } from '../config/schema.js';
import type { Logger } from '../log.js';
import type { NodeServices } from '../operations/types.js';
import type { PeerReader } from '../system/connections/peer-credentials.js';
import type { Credentials } from './access/credentials.js';
import type { Audit } from './audit.js';
import type { Limits } from './limits.js';
import type { ReadinessFacts } from './readiness.js';

/** The section `operations_api` of the configuration. */
export type ServerSettings = Config['operations_api'];

/** One finished operation, for metrics. */
export interface OperationObservation {
	/** null: none of the table. */
	operation: string | null;
	status: number;
	ms: number;
}

export interface ServerOptions {
	settings: ServerSettings;
	/** A listening admin socket that this process inherited (socket activation), taken instead of making one. */
	socketDescriptor?: number;
	/** What operations work on. */
	node: NodeServices;
	logins: Pick<Credentials, 'identify' | 'asOfNow' | 'isAsBefore' | 'onChange'>;
	/** Is told of every request for a change. */
	audit: Pick<Audit, 'record'>;
	/** Who opened a connection to the admin socket; only tests give another reader. */
	readPeer?: PeerReader;
	readiness(): ReadinessFacts;
	/** Prometheus text. */
	metrics(): Promise<string>;
	logger: Logger;
	/** Told in the OpenAPI document. */
	version: string;
	observe?(observation: OperationObservation): void;
	limits?: Partial<Limits>;
}

export interface Server {
	/** Where the listeners are; ports are the real ones when 0 was asked for. */
	readonly addresses: {
		socket: string;
		http: { host: string; port: number } | null;
		health: { host: string; port: number } | null;
		metrics: { host: string; port: number } | null;
	};
	/**
	 * Takes up the certificate of HTTP as its files hold it now; connections that are there go on. Answers the new
	 * one in PEM, null if it is the old one or there is no TLS. Rejects with `configuration`, naming key and file, and then the old one stays.
	 */
	renewCertificate(): Promise<string | null>;
	/** Rejects as `renewCertificate` would now; changes nothing. */
	checkCertificate(): Promise<void>;
	/** Finishes the answers under way, ends those who follow, and removes the socket if it is still its own. */
	close(): Promise<void>;
}

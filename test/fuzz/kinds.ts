import { commandLines } from './command-lines.js';
import { configuration } from './configuration.js';
import { recordFiles, wireMessages } from './fleet.js';
import type { FuzzKind } from './kind.js';
import { credentials, operationBodies, requestBytes } from './operations.js';

/** Every way in. The shares add up to a thousand. */
export const kinds: readonly FuzzKind[] = [
	operationBodies,
	requestBytes,
	credentials,
	wireMessages,
	recordFiles,
	configuration,
	commandLines,
];

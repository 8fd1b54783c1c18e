import { certificateChecks } from './checks/certificates.js';
import { daemonChecks } from './checks/daemon.js';
import { fileChecks } from './checks/files.js';
import { fleetChecks, networkChecks } from './checks/network.js';
import { resourceChecks } from './checks/resources.js';
import { softwareChecks } from './checks/software.js';
import type { Check } from './types.js';

/** Every check by its subject, in the order in which they are shown. */
export const checksBySubject: Readonly<Record<string, readonly Check[]>> = {
	software: softwareChecks,
	files: fileChecks,
	certificates: certificateChecks,
	network: networkChecks,
	fleet: fleetChecks,
	resources: resourceChecks,
	daemon: daemonChecks,
};

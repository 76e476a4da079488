export { CONFIG_FILE_DEFAULT, type DeviceTls, type LoadOptions, loadConfig, readDeviceTls } from './load.ts';
export { type ConfigSources, parseConfig } from './parse.ts';
export { ConfigError, type ConfigProblem, describeProblem } from './problem.ts';
export { redactedConfig } from './redact.ts';
export { allSettings, keyOf, type ServerConfig, variableOf } from './settings.ts';
export { loadTrustPolicy, type PolicySource, parseTrustPolicy } from './trust-policy.ts';

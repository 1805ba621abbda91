package cql;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.repository.IRepository;
import ca.uhn.fhir.validation.FhirValidator;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.cqframework.cql.cql2elm.CqlCompilerException;
import org.cqframework.cql.cql2elm.CqlCompilerOptions;
import org.cqframework.cql.cql2elm.CqlTranslator;
import org.cqframework.cql.cql2elm.LibraryManager;
import org.cqframework.cql.cql2elm.ModelManager;
import org.cqframework.cql.cql2elm.StringLibrarySourceProvider;
import org.cqframework.cql.cql2elm.model.CompiledLibrary;
import org.cqframework.cql.cql2elm.quick.FhirLibrarySourceProvider;
import org.hl7.elm.r1.VersionedIdentifier;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseBundle;
import org.hl7.fhir.instance.model.api.IBaseParameters;
import org.hl7.fhir.r4.model.ActivityDefinition;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.OperationOutcome;
import org.hl7.fhir.r4.model.Parameters;
import org.hl7.fhir.r4.model.PlanDefinition;
import org.hl7.fhir.r4.model.PlanDefinition.PlanDefinitionActionComponent;
import org.hl7.fhir.r4.model.Resource;
import org.opencds.cqf.fhir.cql.EvaluationSettings;
import org.opencds.cqf.fhir.cql.LibraryEngine;
import org.opencds.cqf.fhir.cql.engine.retrieve.RetrieveSettings.TERMINOLOGY_FILTER_MODE;
import org.opencds.cqf.fhir.cr.CrSettings;
import org.opencds.cqf.fhir.cr.plandefinition.PlanDefinitionProcessor;
import org.opencds.cqf.fhir.utility.monad.Eithers;
import org.opencds.cqf.fhir.utility.repository.InMemoryFhirRepository;

/**
 * `$apply` of cqf-fhir-cr over an exported package: one patient on each line in, the CarePlans of several
 * PlanDefinitions on one line out. Before each stands the number of the question and a tab; the answer repeats it.
 *
 * A line in is a Parameters: "plan" (repeated), "record", "given", and "anew", which leaves the engine as it comes: it
 * evaluates the Library once for each condition. Else the Library is evaluated once for a patient, all definitions that
 * the plans name in one pass, and each condition is answered from that.
 *
 * A line that is a Bundle is answered by what HAPI's validator finds in each of its resources: an OperationOutcome, without
 * the codes of systems that it does not have.
 *
 * Arguments: the folder of the package; one that holds the translated CQL before the first line is answered.
 */
public final class Engines {
  private final FhirContext fhir = FhirContext.forR4Cached();
  private final IParser json;
  private final IRepository repository;
  private final EvaluationSettings settings = EvaluationSettings.getDefault();
  private FhirValidator validator; // reads all of FHIR: only where something is to be validated
  private final Map<String, Set<String>> named = new HashMap<>(); // the definitions of each Library that something names

  private Engines(Path folder) throws IOException {
    fhir.setValidationSupport(new DefaultProfileValidationSupport(fhir));
    json = fhir.newJsonParser();
    repository = new InMemoryFhirRepository(fhir);
    // Where in the text an expression stands is of no use here, and makes what is translated twice as large.
    settings.getCqlOptions().getCqlCompilerOptions().getOptions().removeAll(
        List.of(CqlCompilerOptions.Options.EnableAnnotations, CqlCompilerOptions.Options.EnableLocators));
    settings.getRetrieveSettings().setTerminologyParameterMode(TERMINOLOGY_FILTER_MODE.FILTER_IN_MEMORY);
    try (var files = Files.newDirectoryStream(folder, "*-*.json")) {
      for (Path file : files) {
        Resource resource = (Resource) json.parseResource(Files.readString(file));
        repository.update(resource, Map.of());
        if (resource instanceof PlanDefinition plan) {
          inActions(plan.getAction(), namedOf(plan.getLibrary().get(0).getValue()));
        } else if (resource instanceof ActivityDefinition activity) {
          Set<String> names = namedOf(activity.getLibrary().get(0).getValue());
          activity.getDynamicValue().forEach(each -> names.add(each.getExpression().getExpression()));
        }
      }
    }
  }

  private Set<String> namedOf(String library) {
    return named.computeIfAbsent(library, each -> new HashSet<>());
  }

  private static void inActions(List<PlanDefinitionActionComponent> actions, Set<String> names) {
    for (var action : actions) {
      action.getCondition().forEach(each -> names.add(each.getExpression().getExpression()));
      action.getDynamicValue().forEach(each -> names.add(each.getExpression().getExpression()));
      inActions(action.getAction(), names);
    }
  }

  /** Each Library is compiled once: what is translated is also what `$apply` finds, under its name and version. */
  private void translate(Path folder, Path translated) throws IOException {
    try (var files = Files.newDirectoryStream(folder.resolve("cql"), "*.cql")) {
      for (Path file : files) {
        String name = file.getFileName().toString().replace(".cql", "");
        CompiledLibrary library = compiled(name, Files.readString(file));
        settings.getLibraryCache().put(library.getIdentifier(), library);
        Files.writeString(translated.resolve(name + ".json"), CqlTranslator.convertToJson(library.getLibrary()));
      }
    }
  }

  private CompiledLibrary compiled(String name, String cql) {
    var options = settings.getCqlOptions().getCqlCompilerOptions();
    var manager = new LibraryManager(new ModelManager(settings.getModelCache()), options, settings.getLibraryCache());
    manager.getLibrarySourceLoader().registerProvider(new StringLibrarySourceProvider(List.of(cql)));
    manager.getLibrarySourceLoader().registerProvider(new FhirLibrarySourceProvider());
    List<CqlCompilerException> faults = new ArrayList<>();
    CompiledLibrary library = manager.resolveLibrary(new VersionedIdentifier().withId(name), faults);
    for (var fault : faults) {
      if (fault.getSeverity() == CqlCompilerException.ErrorSeverity.Error) {
        throw new IllegalStateException(name + " " + fault.getLocator() + ": " + fault.getMessage());
      }
    }
    return library;
  }

  /** The Library's answers for one patient: evaluated once, whatever number of conditions ask. */
  private final class OnePass extends LibraryEngine {
    private final Map<String, Parameters> answers = new HashMap<>();

    OnePass() {
      super(Engines.this.repository, Engines.this.settings);
    }

    @Override
    public IBaseParameters evaluate(
        String library, String patient, IBaseParameters given, Map<String, Object> raw, IBaseBundle record,
        ZonedDateTime moment, Set<String> expressions) {
      if (raw != null && !raw.isEmpty()) {
        throw new IllegalStateException("an action with parameters of its own is not answered from one pass");
      }
      Parameters all = answers.computeIfAbsent(
          library, each -> (Parameters) super.evaluate(library, patient, given, raw, record, moment, named.get(library)));
      Parameters asked = new Parameters();
      all.getParameter().stream().filter(each -> expressions.contains(each.getName())).forEach(asked::addParameter);
      return asked;
    }
  }

  private String validated(Bundle resources) {
    if (validator == null) {
      var support = new ValidationSupportChain(
          new DefaultProfileValidationSupport(fhir), new CommonCodeSystemsTerminologyService(fhir),
          new InMemoryTerminologyServerValidationSupport(fhir));
      var instances = new FhirInstanceValidator(support);
      instances.setNoTerminologyChecks(false);
      instances.setErrorForUnknownProfiles(true);
      validator = fhir.newValidator().registerValidatorModule(instances);
    }
    OperationOutcome all = new OperationOutcome();
    for (var entry : resources.getEntry()) {
      var found = (OperationOutcome) validator.validateWithResult(entry.getResource()).toOperationOutcome();
      for (var issue : found.getIssue()) {
        issue.addExpression(entry.getResource().fhirType() + "/" + entry.getResource().getIdPart());
        all.addIssue(issue);
      }
    }
    return json.encodeResourceToString(all);
  }

  private String answered(String line) {
    Resource asked = (Resource) json.parseResource(line);
    return asked instanceof Bundle resources ? validated(resources) : applied((Parameters) asked);
  }

  private String applied(Parameters job) {
    if (!job.hasParameter()) {
      return json.encodeResourceToString(job);
    }
    Bundle record = (Bundle) job.getParameter("record").getResource();
    String patient = "Patient/" + record.getEntry().stream().map(each -> each.getResource())
        .filter(each -> each.fhirType().equals("Patient")).findFirst().orElseThrow().getIdPart();
    Parameters given = (Parameters) job.getParameter("given").getResource();
    LibraryEngine engine = job.hasParameter("anew") ? new LibraryEngine(repository, settings) : new OnePass();
    var processor = new PlanDefinitionProcessor(repository, CrSettings.getDefault().withEvaluationSettings(settings));
    Parameters plans = new Parameters();
    for (var each : job.getParameter()) {
      if (!each.getName().equals("plan")) {
        continue;
      }
      var made = processor.apply(
          Eithers.forMiddle3(new IdType("PlanDefinition", each.getValue().primitiveValue())),
          patient, null, null, null, null, null, null, null, null, given, record, null, engine);
      plans.addParameter().setName("plan").setResource((Resource) made);
    }
    return json.encodeResourceToString(plans);
  }

  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    Engines engines = new Engines(folder);
    engines.translate(folder, Path.of(arguments[1]));
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      int place = line.indexOf('\t') + 1;
      out.println(line.substring(0, place) + engines.answered(line.substring(place)));
    }
  }
}
